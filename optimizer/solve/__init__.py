"""Solving a program: the only room that imports a solver. A warm HiGHS session; PuLP (named LP and MPS files, CBC) and scipy as checks."""

from optimizer.solve.cross_check import check, solve_cbc, solve_scipy, to_pulp, write_model
from optimizer.solve.session import Session

__all__ = ["Session", "check", "solve_cbc", "solve_scipy", "to_pulp", "write_model"]
