"""Builds the program of a book over an outlook."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from markets.outlook import Outlook
from optimizer.domain.book import energy_settled_by, generators_by_meter, hash_settled_by
from optimizer.domain.generator import runs_before
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.obligation import Obligation
from optimizer.domain.other_charges import reading_order
from optimizer.domain.site import Availability, Site, SoFar
from optimizer.lp.cohorts import Cohorts, gather
from optimizer.lp.fill_gaps import fill_gaps
from optimizer.lp.generator_columns import machines
from optimizer.lp.program import Program


def program_of(
    site: Site, book: Sequence[Obligation], outlook: Outlook, so_far: SoFar, availability: Availability | None = None
) -> Program:
    """The program `plan` solves for these inputs: to write it down, or to solve it another way."""
    outlook, _ = fill_gaps(outlook)
    return build_program(gather(site, book, so_far, availability or Availability(), outlook.temperature_c.values), book, outlook)


def build_program(
    cohorts: Cohorts, book: Sequence[Obligation], outlook: Outlook, faults: PluginFailures | None = None, *, for_bids: bool = False
) -> Program:
    """The program of a book over an outlook. What a contract raises is recorded in `faults`; without it, it is raised. `for_bids`: it
    prices megawatts for a bid."""
    program = Program(cohorts.site, outlook, cohorts.so_far, cohorts.availability)
    program.is_for_bids = for_bids
    if faults is not None:
        for obligation in book:
            with faults.of(obligation):
                obligation.settles_energy(cohorts.site)
                obligation.settles_hash(cohorts.site)
                obligation.generator(cohorts.site)
        book = faults.sound(book)
    program.book = tuple(book)
    program.settled = energy_settled_by(book, cohorts.site, program.during)
    program.hashed = hash_settled_by(book, cohorts.site, program.during)
    program.behind = generators_by_meter(book, cohorts.site)
    before = program.memories
    program.machines = machines(program, program.grid, program.behind, lambda name: runs_before(before, name), outlook.available_mw)
    for obligation in (book[n] for n in reading_order(book)):
        first = len(program.rows)
        with faults.of(obligation) if faults is not None else nullcontext():
            obligation.shape(program)
        program.contract_of |= {rows.first: obligation.name for rows in program.rows[first:]}
    return program
