"""`python -m sgibench.load.worker PORT PARENT`: one load process of a crew; PARENT is the process that started it."""

import sys

from sgibench.load.begin import begin

begin(int(sys.argv[2]))

from sgibench.load.member import main  # noqa: E402 - it imports Locust, which must find what `begin` does

if __name__ == "__main__":
    main(int(sys.argv[1]))
