"""`python -m sgibench.load`: the load process; before all else it keeps Locust from patching the standard library."""

import os

os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"

from sgibench.load.driver import main

if __name__ == "__main__":
    main()
