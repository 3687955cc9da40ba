"""Services for apps: private instances of real servers, or ones that exist, with a share for each server of ours.

A service never runs as root, stands in a scratch folder of its own, is ready when it answers, and is buried like a
server. It is counted apart from servers: nothing here measures, but says which processes a service consists of.
"""

from __future__ import annotations

from sgibench.serve.services.finding import Programs, find, missing
from sgibench.serve.services.house import House, Share, Trouble, usual_cpus
from sgibench.serve.services.instance import Instance

__all__ = ["House", "Instance", "Programs", "Share", "Trouble", "find", "missing", "usual_cpus"]
