"""What a live server is asked, and what it must answer: one row or one function for each part of the contract.

`table` has the rows; `comparing` what each is made of. Checks that need more than one look stand by their subject:
`answering`, `connections`, `items`, `jobs`. A new check is a function and a row.
"""

from __future__ import annotations

from sgibench.verify.checks.comparing import Problem, Target, client_for, load_contract, shown
from sgibench.verify.checks.table import CHECKS, run

__all__ = ["CHECKS", "Problem", "Target", "client_for", "load_contract", "run", "shown"]
