"""fcgiwrap on a Unix socket, with the app's name in the environment that its CGI programs inherit."""

from __future__ import annotations

import argparse
import os
import shutil
import sys


def main() -> None:
    """Become fcgiwrap."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True, help="programs that run side by side, for each worker")
    parser.add_argument("target")
    given = parser.parse_args()
    fcgiwrap = shutil.which("fcgiwrap")
    if fcgiwrap is None:
        sys.exit("fcgiwrap is not installed: apt-get install fcgiwrap")
    os.environ["SGIBENCH_TARGET"] = given.target
    os.execv(fcgiwrap, [fcgiwrap, "-c", str(given.workers * given.threads), "-s", f"unix:{given.socket}"])  # noqa: S606 - no shell


if __name__ == "__main__":
    main()
