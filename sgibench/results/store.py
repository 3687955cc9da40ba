"""results/: append what was measured, read it back; nothing else touches these files.

A run is a folder with `run.json` (what was planned, on what) and `trials.jsonl` (a line for each trial, on disk as soon
as it was measured; later one that says how its server stopped), so a run killed at any moment keeps every finished
trial. `run.json` is replaced atomically. A run has one writer: it holds a lock that dies with its process.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Self

from sgibench.errors import ResultsError, UsageError
from sgibench.model import SCHEMA, Failure, Run, RunInfo, Stopped, Trial, as_failed, with_stops
from sgibench.model.failed import WHICH
from sgibench.paths import exists, is_file
from sgibench.results import strict
from sgibench.results.codec import decode, encode
from sgibench.secrets import hidden_in

INFO_FILE = "run.json"
TRIALS_FILE = "trials.jsonl"


class RunWriter:
    """The open files of a run that is being measured; a context manager, and the only one of its folder.

    `run.json` comes with the first `write_info`, when the plan is final; a folder that never got one is taken away.
    """

    def __init__(self, folder: Path, info: RunInfo) -> None:
        """`info` is written by `write_info`; raises ResultsError on entry when the folder can't be made."""
        self.folder = folder
        self.info = info
        self.appended = False
        """Whether anything was written since it was opened."""
        self._trials: IO[bytes] | None = None

    def __enter__(self) -> Self:
        with _one_line(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._trials = _locked(self.folder)
            mend_last_line(self.folder / TRIALS_FILE)
        return self

    @classmethod
    @contextlib.contextmanager
    def reopen(cls, folder: Path) -> Iterator[tuple[Self, Run]]:
        """Go on with a run: lock it, then read it, so that nobody adds to it between. UsageError, ResultsError."""
        if not (folder / INFO_FILE).is_file():
            raise ResultsError(f"{folder} is not a run: expected {INFO_FILE} in it")
        with _one_line(folder):
            trials = _locked(folder)
        with trials:
            run = read_run(folder)
            with _one_line(folder):
                mend_last_line(folder / TRIALS_FILE)
            writer = cls(folder, run.info)
            writer._trials = trials
            try:
                yield writer, run
            finally:
                writer._close()

    def __exit__(self, *_: object) -> None:
        self._close()
        if not (self.folder / INFO_FILE).exists():
            with contextlib.suppress(OSError):
                (self.folder / TRIALS_FILE).unlink(missing_ok=True)
                self.folder.rmdir()

    def append(self, measured: Trial | Stopped) -> None:
        """Write what was measured, or what became of its server, and wait until the disk has it."""
        line = line_of(measured) if isinstance(measured, Trial) else _readable_line(measured)
        if self._trials is None:
            raise AssertionError("append() outside the context")
        self._refuse_removed(line)
        with _one_line(self.folder):
            _write(self._trials, line)
        self.appended = True

    def write_info(self, info: RunInfo) -> None:
        """Replace `run.json` in one step; raises ResultsError."""
        self.info = info
        self._refuse_removed()
        self._write_info(info)

    def _refuse_removed(self, line: bytes = b"") -> None:
        """Raise ResultsError where the open trials are no longer the folder's; a folder that is gone is made anew."""
        old, path = self._trials, self.folder / TRIALS_FILE
        if old is None or _is_at(old, path):
            return
        gone = f"{self.folder} was removed or renamed while it was measured"
        if exists(path):
            raise ResultsError(f"{path} is another file than the one that was begun: what was measured is not kept")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._trials = _locked(self.folder)
            _write(self._trials, os.pread(old.fileno(), os.fstat(old.fileno()).st_size, 0) + line)
            self._write_info(self.info)
        except OSError as error:
            raise ResultsError(f"{gone} and can't be made anew ({error.strerror}): nothing of it is kept") from error
        old.close()
        raise ResultsError(f"{gone}: what was measured is written there anew; go on with --resume {self.folder.name}")

    def _close(self) -> None:
        if self._trials is not None:
            with contextlib.suppress(OSError):  # each line is on disk, or was refused by name
                self._trials.close()

    def _write_info(self, info: RunInfo) -> None:
        target = self.folder / INFO_FILE
        beside = target.with_suffix(".json.new")
        try:
            text = json.dumps(hidden_in(encode(info)), indent=1, allow_nan=False) + "\n"
            decode(RunInfo, strict.parse(text.encode()))
        except ValueError as error:
            raise ResultsError(f"{target} could not be read back: {error}") from error
        with _one_line(self.folder):
            beside.unlink(missing_ok=True)  # whatever it is: a stranger's link must not lead elsewhere
            with beside.open("x", encoding="utf-8") as file:
                file.write(text)
            beside.replace(target)


def line_of(trial: Trial) -> bytes:
    """Make the line that is stored: one that `read_run` reads, so that no trial costs its neighbours theirs.

    A trial with something in it that can't be read back is stored as failed, with what is wrong as its reason.
    """
    try:
        return _readable_line(trial)
    except ValueError as error:
        failure = Failure(reason="not-storable", detail=f"what was measured can't be stored: {error}")
        return _readable_line(as_failed(trial, failure, WHICH))


def _readable_line(measured: Trial | Stopped) -> bytes:
    extra = {"connections": measured.connections} if isinstance(measured, Trial) else {}
    stored = hidden_in(encode(measured) | extra)
    line = json.dumps(stored, separators=(",", ":"), allow_nan=False).encode()
    if len(line) >= strict.LONGEST_LINE_BYTES:
        raise ValueError(f"it takes more than {strict.LONGEST_LINE_BYTES // 2**20} MiB")
    read = decode(type(measured), strict.parse(line))
    if isinstance(read, Trial):
        _whole(read)
    return line + b"\n"


def _write(trials: IO[bytes], lines: bytes) -> None:
    """Append all of it and wait until the disk has it, or nothing."""
    number = trials.fileno()
    before = os.fstat(number).st_size
    try:
        left = lines
        while left:
            left = left[trials.write(left) :]
        os.fsync(number)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(number, before)  # half a line would spoil what is written behind it
        raise


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Whether an open file is what stands at a path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _locked(folder: Path) -> IO[bytes]:
    """Open the trials to append to them and read them, alone; raises UsageError when somebody else does."""
    path = folder / TRIALS_FILE
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise ResultsError(f"{path}: expected a file, and none that a link leads to")
    file = path.open("a+b", buffering=0)  # what a full disk refuses must not come up again when it is closed
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise UsageError(
            f"{folder.name} is being measured by another process: wait until that has ended, or end it"
        ) from None
    except OSError:
        return file  # a file system without locks
    return file


def refuse_unwritable(folder: Path, option: str) -> None:
    """Raise UsageError when nothing can be written to a folder; better now than after an hour of measuring.

    Nothing is left behind: a folder that is not there yet is fine when it can be made.
    """
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if exists(each))
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".sgibench-") as file:
            file.write(bytes(TRIED_BYTES))
            file.flush()
    except OSError as error:
        raise UsageError(f"can't write to {folder} ({error.strerror}): {_advice(error, option)}") from None


TRIED_BYTES = 1 << 16
"""A full disk still takes an empty file."""


def _advice(error: OSError, option: str) -> str:
    return {
        errno.ENOSPC: f"the disk is full: free some space, or pass {option} DIR on another disk",
        errno.EDQUOT: f"your disk quota is used up: free some space, or pass {option} DIR elsewhere",
    }.get(error.errno or 0, f"check its permissions, or pass {option} DIR")


class _one_line:  # noqa: N801 - reads as a statement: `with _one_line(folder):`
    """Turn an operating system error on the results folder into one clear line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError):
            raise ResultsError(
                f"can't write results to {self.folder} ({error.strerror}); {_advice(error, '--results')}. "
                "What was measured before is kept"
            ) from error


def mend_last_line(path: Path) -> None:
    """Cut off a half-written last line, so that what is appended next starts on a line of its own."""
    if not path.exists():
        return
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(data.rfind(b"\n") + 1)


def new_run_id(started: datetime) -> str:
    """Name a run after the moment it began, sortable: `20261122-153000-1a2b`."""
    return f"{started.astimezone(UTC):%Y%m%d-%H%M%S}-{os.urandom(2).hex()}"


def read_run(folder: Path) -> Run:
    """Read a run; raises ResultsError in one line when it isn't one.

    A half-written last line is left out with a notice; a broken line elsewhere stops the reading with its number.
    """
    info_path = folder / INFO_FILE
    try:
        raw = strict.read_object(info_path)
    except FileNotFoundError:
        raise ResultsError(f"{folder} is not a run: expected {INFO_FILE} in it") from None
    schema = raw.get("schema") if isinstance(raw, dict) else None
    if not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
        raise ResultsError(
            f"{info_path} has schema {strict.shown(schema)}, this sgibench reads up to {SCHEMA}: "
            "read it with a newer sgibench"
        )
    try:
        info = decode(RunInfo, raw)
    except ValueError as error:
        raise ResultsError(f"{info_path}: {error}") from None
    trials, notices = _read_trials(folder / TRIALS_FILE)
    last, repeated = _last_executions([trial for trial in trials if trial.step is None])
    steps = tuple(trial for trial in trials if trial.step is not None)
    return Run(path=folder, info=info, trials=last, notices=tuple(notices), repeated=repeated, steps=steps)


def _last_executions(trials: Sequence[Trial]) -> tuple[tuple[Trial, ...], tuple[Trial, ...]]:
    """Split the trials into the last of each cell and block, in the order measured, and those it took the place of."""
    last = {(trial.block, trial.cell): number for number, trial in enumerate(trials)}
    kept = set(last.values())
    return (
        tuple(trial for number, trial in enumerate(trials) if number in kept),
        tuple(trial for number, trial in enumerate(trials) if number not in kept),
    )


def _read_trials(path: Path) -> tuple[list[Trial], list[str]]:
    """Read them line by line; a broken line is forgiven only at the end, where a run may have been killed."""
    trials: list[Trial] = []
    stops: list[Stopped] = []
    broken: str | None = None
    number, line = 0, b"\n"
    try:
        for number, line in enumerate(strict.read_lines(path), start=1):
            if broken is not None:
                raise ResultsError(broken)
            if line.strip() and line.endswith(b"\n"):
                try:
                    read = strict.parse(line)
                    if isinstance(read, dict) and "stopped" in read:
                        stops.append(decode(Stopped, read))
                    else:
                        trials.append(_whole(decode(Trial, read)))
                except ValueError as error:
                    broken = f"{path} line {number}: {error}"
    except FileNotFoundError:
        return [], [f"{path.name} is not there yet: no trial has finished"]
    trials = with_stops(trials, stops)
    if not line.endswith(b"\n"):
        torn = "half-written, as a run that was killed leaves it, and was left out"
        return trials, [f"the last line of {path.name} is {torn}"]
    return trials, [f"the last line of {path.name} can't be read and was left out"] if broken is not None else []


def _whole(trial: Trial) -> Trial:
    """Take numbers from a failure, whoever left them there; refuse a result without its figures."""
    if trial.status != "ok":
        return as_failed(trial, trial.failure)
    for name in ("requests", "window_s", "rps"):
        value = getattr(trial, name)
        if value is None or not value > 0:
            raise ValueError(f"Trial.{name}: expected more than nothing in a trial that is ok, got {value}")
    return trial


_RUN_NAME = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")


def list_runs(results: Path) -> list[Path]:
    """All run folders under `results`, newest first."""
    try:
        folders = [folder for folder in results.iterdir() if is_file(folder / INFO_FILE)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ResultsError(f"{results} can't be listed ({error.strerror}): pass --results DIR") from None
    return sorted(folders, key=lambda folder: (bool(_RUN_NAME.fullmatch(folder.name)), folder.name), reverse=True)


def find_run(results: Path, name: str | None) -> Path:
    """Find a run by folder, by name under `results`, by the start of its name, or the newest when `name` is None.

    Raises UsageError when that is not one run.
    """
    if name is not None and is_file(Path(name) / INFO_FILE):
        return Path(name)
    runs = list_runs(results)
    if name is None or name == "latest":
        if not runs:
            raise UsageError(f"no run in {results} yet: start one with sgibench run")
        return runs[0]
    matching = [run for run in runs if run.name == name] or [run for run in runs if run.name.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    found = _names(matching or runs[:3])
    raise UsageError(
        f"expected the name of one run in {results}, got {strict.shown(name)}; {len(matching)} match ({found})"
    )


def _names(runs: Sequence[Path]) -> str:
    return ", ".join(run.name for run in runs[:5]) or "there is none"
