"""`python -m sgibench.load.worker PORT`: one load process of a crew; Locust must not patch the library here either."""

import os
import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_IGN)  # the engine decides when to end
os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"

from sgibench.load.member import main  # noqa: E402 - the lines above must come before Locust is imported

if __name__ == "__main__":
    main(int(sys.argv[1]))
