"""What the load of a plan earns at other prices than those it was made with."""

from __future__ import annotations

from markets.outlook import Outlook
from optimizer.domain.array_types import Floats
from optimizer.lp.build import build_program
from optimizer.lp.fill_gaps import fill_gaps
from optimizer.lp.trajectory import plan_lines
from optimizer.planning.result import Plan


def lines_at(plan: Plan, outlook: Outlook) -> dict[tuple[str, str], Floats]:
    """Dollars by interval and by (obligation, charge type) of the plan's own load and offers at an outlook on the same grid. Raises
    UnknownPrice when a settlement point has no price at all, or no hashprice is known."""
    made = plan.origin
    program = build_program(made.cohorts, made.book, fill_gaps(outlook)[0])
    return plan_lines(made.book, program, made.path)
