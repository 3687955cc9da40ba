"""What a yardstick does on its CPU: the same piece of work every few milliseconds. It runs by itself, see `yardstick`.

    python -I -S yard.py CPU PARENT

For each piece it writes when it ended, by the host's monotonic clock, and how long it took, both in nanoseconds, as two
integers of 64 bits. It ends with its parent.

The work is a table lookup for each of some thousand bytes, all of them in the first cache, with nothing that has to
wait for what came before: what a core does at its full width. Work on the other thread of the same core takes a good
part of that width away; a chain of additions, each of which waits for the one before, would not notice.
"""

from __future__ import annotations

import os
import struct
import sys
import time

RECORD = struct.Struct("=qq")
PERIOD_S = 0.006
BYTES = bytes(range(256)) * 32
TABLE = bytes([*range(1, 256), 0])


def main(cpu: int, parent: int) -> None:
    """Go on until the parent is gone."""
    os.sched_setaffinity(0, {cpu})
    work, clock = BYTES.translate, time.monotonic_ns
    while os.getppid() == parent:
        time.sleep(PERIOD_S)
        work(TABLE)
        work(TABLE)  # two to fill the caches: what the server left in them must not be seen
        began = clock()
        work(TABLE)
        between = clock()
        work(TABLE)
        ended = clock()
        os.write(1, RECORD.pack(ended, min(between - began, ended - between)))  # one of them may be interrupted


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
