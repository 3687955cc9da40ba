"""`python -m sgibench.load`: the load process; before all else it keeps Locust from patching the standard library."""

import os
import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)  # the engine decides when to end
os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"

from sgibench.load.driver import main  # noqa: E402 - the lines above must come before Locust is imported

if __name__ == "__main__":
    main()
