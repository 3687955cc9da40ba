"""`python -m sgibench.cli` is `sgibench`."""

from sgibench.cli import main

main()
