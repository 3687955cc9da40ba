"""`python -m sgibench.load`: the load process. Locust must not patch the standard library here, so that is said first."""

import os

os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"

from sgibench.load.driver import main

if __name__ == "__main__":
    main()
