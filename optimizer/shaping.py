"""Shaping: a book and an outlook become a program."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from markets.outlook import Outlook
from optimizer.cohorts import Cohorts, gather
from optimizer.faults import Faults
from optimizer.gaps import whole
from optimizer.generators import machines, of_book
from optimizer.obligations import Obligation
from optimizer.program import Program
from optimizer.reader import takeovers
from optimizer.site import Availability, Site, SoFar


def program_of(
    site: Site, book: Sequence[Obligation], outlook: Outlook, so_far: SoFar, availability: Availability | None = None
) -> Program:
    """The program `plan` solves for these inputs: to write it down, or to solve it another way."""
    outlook, _ = whole(outlook)
    return shaped(gather(site, book, so_far, availability or Availability(), outlook.temperature_c.values), book, outlook)


def shaped(cohorts: Cohorts, book: Sequence[Obligation], outlook: Outlook, faults: Faults | None = None) -> Program:
    """The program of a book over an outlook. What a contract raises goes to `faults`, else through."""
    program = Program(cohorts.site, outlook, cohorts.so_far, cohorts.availability)
    if faults is not None:
        for obligation in book:
            with faults.of(obligation):
                for takes in (getattr(obligation, asks, None) for asks in ("takes_energy", "takes_hash")):
                    _ = takes(cohorts.site) if takes else None
                of_book([obligation], cohorts.site)
        book = faults.sound(book)
    program.settled = takeovers(book, cohorts.site, program.during)
    program.hashed = takeovers(book, cohorts.site, program.during, "takes_hash")
    program.behind = of_book(book, cohorts.site)
    program.machines = machines(program, program.behind)
    for obligation in book:
        with faults.of(obligation) if faults is not None else nullcontext():
            obligation.shape(program)
    return program
