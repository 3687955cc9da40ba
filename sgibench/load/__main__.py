"""`python -m sgibench.load`: the load process."""

import os

from sgibench.load.begin import begin

begin(os.getppid())

from sgibench.load.driver import main  # noqa: E402 - it imports Locust, which must find what `begin` does

if __name__ == "__main__":
    main()
