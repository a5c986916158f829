"""How the calls of a contract must be answered: by when, how closely and for how long, by the rules of its programme."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallTerms:
    """The terms of an operating day.

    respond_min    minutes within which the load must be where a call asks for it
    from_notice    they are counted from the notice, and the load is due no sooner than the start of the call; else from its start
    stays_mw       load that may stay when everything is called, MW; None where it is the load before the call less what is promised
    sustain_h      how long a call may last, hours
    missing_share  share of the reduction asked for that may be missing
    excess_share   share of it that may be dropped beyond it; None where any may
    restore_h      hours from the end of a call within which the load must be back; None where no rule says
    set_points     whether the programme dispatches the load by set points
    ramp_mw_per_min  how fast set points may rise, as telemetered to the desk, MW a minute; None where the rigs alone say
    rule           where the terms are published
    """

    respond_min: float
    from_notice: bool = False
    stays_mw: float | None = None
    sustain_h: float = 0.0
    missing_share: float = 0.0
    excess_share: float | None = None
    restore_h: float | None = None
    set_points: bool = False
    ramp_mw_per_min: float | None = None
    rule: str = ""

    def due_min(self, start_min: float, notice_min: float) -> float:
        """The minute from which on the load must be where a call asks for it, by the minutes of its start and its notice."""
        return max(start_min, notice_min + self.respond_min) if self.from_notice else start_min + self.respond_min
