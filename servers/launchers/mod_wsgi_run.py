"""Start mod_wsgi-express; where root starts it, as a user without rights, since Apache refuses to serve as root."""

from __future__ import annotations

import grp
import os
import pwd
import sys

UNPRIVILEGED = "nobody"


def main() -> None:
    """Add the user if needed and become the command that was given."""
    argv = sys.argv[1:]
    if os.geteuid() == 0:
        user = pwd.getpwnam(UNPRIVILEGED)
        argv[2:2] = [f"--user={user.pw_name}", f"--group={grp.getgrgid(user.pw_gid).gr_name}"]
    os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
