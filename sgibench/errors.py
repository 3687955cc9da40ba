"""What can go wrong, as one tree.

    SgibenchError                 one clear line for a person; never a traceback
    ├── UsageError            wrong words on the command line            -> exit 2
    ├── DeclarationError      a file of the catalogue is not as expected -> exit 2
    ├── ResultsError          a run can't be read or written             -> exit 2
    ├── EnvsError             an isolated environment can't be made      -> that server is skipped
    ├── ServerError           a server did not start, answer, or survive -> that trial is failed
    │   └── MisdeclaredError  a declaration's function raised or gave nonsense -> that variant is failed by name
    └── LoadError             the load process broke its protocol        -> exit 1
        ├── LoadLostError     it ended, or a worker of it: that load has failed, and another begins
        └── CeilingError      its own ceiling can't be found out         -> measured without it, and doubted

Anything else that is raised is a bug and keeps its traceback.
"""

from __future__ import annotations

import re
from pathlib import Path

LONGEST_SHOWN = 60
LONGEST_LINE = 1000
"""Characters of what is shown for one problem; strangers' words may be long."""


UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What has no place in a page or on a terminal, whoever put it into a name or a log: it would move the cursor, turn
text round, or worse."""

LINE_ENDS = re.compile("[\t\n\r\u2028\u2029]")
"""What has no place in a name, although text that is shown as it is may hold it."""


def plain(text: str) -> str:
    """Give a text without what would act on a terminal."""
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def in_line(text: str) -> str:
    """Give names and strangers' words without what would act on a terminal or end the line they stand in."""
    return LINE_ENDS.sub("\N{REPLACEMENT CHARACTER}", plain(text))


def one_line(text: str) -> str:
    """Fold somebody's words into one line of bearable length."""
    folded = " ".join(text.split())
    return folded if len(folded) <= LONGEST_LINE else f"{folded[: LONGEST_LINE - 3]}..."


def shown(text: object) -> str:
    """Quote what somebody wrote, its beginning if it is long."""
    words = str(text)
    return repr(words) if len(words) <= LONGEST_SHOWN else f"{words[:LONGEST_SHOWN]!r}..."


class SgibenchError(Exception):
    """Base of everything a user may meet; `str(error)` is the line that is shown."""

    exit_code = 1


class UsageError(SgibenchError):
    """The command line asked for something that does not exist or can't be combined."""

    exit_code = 2


class DeclarationError(SgibenchError):
    """A server, app or scenario file is not what the catalogue expects; names the path and the expectation."""

    exit_code = 2

    def __init__(self, path: Path, expected: str, came: str) -> None:
        """Say which file, what was expected there and what was found."""
        super().__init__(one_line(f"{path}: expected {expected}, but {came}"))
        self.path = path


class ResultsError(SgibenchError):
    """A results folder can't be written, or what it holds can't be read: no answer, so no "no" either."""

    exit_code = 2


class EnvsError(SgibenchError):
    """An isolated environment for a server can't be made; the server is skipped by name."""


class ServerError(SgibenchError):
    """A server exited, hung, or answered wrongly; its trial is failed with `reason`."""

    def __init__(self, reason: str, detail: str, log_tail: str = "") -> None:
        """`reason` is a short kind such as `exited`; `detail` one sentence; `log_tail` the end of its log."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.log_tail = log_tail


class MisdeclaredError(ServerError):
    """A function of a server's declaration raised, or gave what is no command line or no Expected."""

    exit_code = 2

    def __init__(self, path: Path, detail: str) -> None:
        """Say which file, and what its function did."""
        super().__init__("bad-declaration", one_line(f"{path}: {detail}"))


class LoadError(SgibenchError):
    """The load process ended or answered something that is not in its protocol."""


class LoadLostError(LoadError):
    """The load process or a worker of it ended, or was stopped, while it was waited for; a new one can be started."""


class CeilingError(LoadError):
    """What the load process can do at most in a scenario can't be found out; it can measure all the same."""
