"""Files to declarations, and the page about them. What lies in the folders is what there is: no registry, no list.

Declarations are data; what they do is asked of them by others. Nothing here starts a process or measures anything.
"""

from __future__ import annotations

from sgibench.catalogue.reading import (
    ONLY_NAMED,
    Catalogue,
    home,
    load,
    means_all,
    nearest,
    select,
    select_apps,
    summary_of,
)

__all__ = ["ONLY_NAMED", "Catalogue", "home", "load", "means_all", "nearest", "select", "select_apps", "summary_of"]
