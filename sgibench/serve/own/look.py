"""Says what an interpreter's environment holds, as JSON on stdout: a plain script for Python 3.6 or newer."""

import json
import os
import site
import sys


def main() -> None:
    """Write it."""
    told: dict[str, object] = {
        "version": ".".join(map(str, sys.version_info[:3])),
        "implementation": sys.implementation.name,
    }
    if sys.version_info >= (3, 8):  # noqa: UP036 - an older one must be told its version all the same
        told.update(packages())
    sys.stdout.write(json.dumps(told))


def packages() -> "dict[str, object]":
    """Name what is installed, and where it is found."""
    from importlib import metadata  # noqa: PLC0415 - older ones have none

    found = {}
    fixed = []
    programs = []
    for dist in metadata.distributions():
        name = (dist.metadata["Name"] or "").lower().replace("_", "-").replace(".", "-")
        version = dist.metadata["Version"]
        if not name or not version or name in found:  # what is left of a broken installation has neither
            continue
        found[name] = version
        if dist.read_text("direct_url.json") or "+" in version:
            fixed.append(name)
        scripts = {each.name for each in dist.entry_points if each.group == "console_scripts"}
        files = [str(each) for each in dist.files or () if "/bin/" in "/" + str(each).replace(os.sep, "/")]
        if any(".." in each and os.path.basename(each) not in scripts for each in files):  # noqa: PTH119
            programs.append(name)
    known = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    known = [os.path.realpath(each) for each in known]
    sites = [each for each in sys.path if os.path.isdir(each) and os.path.realpath(each) in known]  # noqa: PTH112
    return {"packages": found, "fixed": fixed, "programs": programs, "sites": sites}


if __name__ == "__main__":
    main()
