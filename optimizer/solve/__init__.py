"""The exits of a Program, and the only room that knows a solver: a HiGHS session (hot), PuLP (named LP and MPS files, CBC), scipy."""

from optimizer.solve.cross_check import check, solve_cbc, solve_scipy, to_pulp, write_model
from optimizer.solve.session import Session

__all__ = ["Session", "check", "solve_cbc", "solve_scipy", "to_pulp", "write_model"]
