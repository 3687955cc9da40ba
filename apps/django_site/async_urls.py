"""The addresses of the site on ASGI: the same, with views that are coroutines.

What blocks is a plain view here too: Django runs it in a thread (`sync_to_async`).
"""

# mypy: disable-error-code="import-not-found,misc"
from __future__ import annotations

from django_site import async_views
from django_site.urls import handler404, patterns

__all__ = ["handler404", "urlpatterns"]

urlpatterns = patterns(async_views)
