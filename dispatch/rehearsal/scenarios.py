"""The scenarios that a dispatch desk plays, as data: which messages it sends when, and which loads it must then see.

Minutes count from the scenario's start. A share is of the range of the site's rigs: 0 with all asleep, 1 with all in their fullest
mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["deploy", "test", "recall", "cancel", "set_point", "release"]
# What a protocol must be able to say for a scenario: events that begin, change and end; numbered versions of them; a load to keep; or any
# call document, also one that contradicts others.
EVENTS, NUMBERED, SET_POINTS, DOCUMENTS = "events", "numbered events", "set points", "documents"
PLANT = "plant"  # the limit of the whole site, a contract that every site has


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the desk.

    sent_min     the minute in which it is sent
    kind         what it asks; `release` ends the set point in force
    share        how low; a load below this where `reduce` is not set, else so much less than at notice
    start_min    the minute from which it holds; at once where None
    end_min      the minute until which it holds; until its recall where None
    id           the event it is of
    version      where the desk numbers its messages
    obligation   another contract than the scenario's, by which it is sent
    refused      whether the site must refuse it
    times        how often it is sent in the same minute
    """

    sent_min: float
    kind: Kind
    share: float | None = None
    start_min: float | None = None
    end_min: float | None = None
    id: str = "A"
    version: int | None = None
    reduce: bool = False
    obligation: str | None = None
    refused: bool = False
    times: int = 1


@dataclass(frozen=True, slots=True)
class Expected:
    """What the desk must see from one minute to another.

    share            a load of at most this share, from when the contract's terms have it due; None for rigs that are left alone
    exactly          exactly that load
    notice_min       the minute of the notice, where it is not `start_min`
    back_within_min  rigs that are left alone, from so many minutes after `start_min` at the latest
    """

    start_min: float
    end_min: float
    share: float | None = None
    exactly: bool = False
    notice_min: float | None = None
    back_within_min: float | None = None


@dataclass(frozen=True, slots=True)
class CallScenario:
    """A play of messages and what must come of them.

    lasts_min  how long it is played
    speaks     what a protocol must be able to say for it
    silent     whether the desk falls silent after its last message, which must be an alarm and change nothing
    contract   under which its calls are; its shares are of the range of that contract's rigs
    """

    name: str
    what: str
    messages: tuple[Message, ...]
    expected: tuple[Expected, ...]
    lasts_min: float = 40.0
    speaks: str = EVENTS
    silent: bool = False
    contract: str = PLANT


def deploy(sent_min: float, share: float, start_min: float | None = None, end_min: float | None = 25.0, **more: object) -> Message:
    """A deployment."""
    return Message(sent_min, "deploy", share, start_min, end_min, **more)  # type: ignore[arg-type]


def point(sent_min: float, share: float) -> Message:
    """A set point from now on."""
    return Message(sent_min, "set_point", share)


def set_points(*shares: float, every_min: float) -> tuple[tuple[Message, ...], tuple[Expected, ...]]:
    """Set points one after the other, each exactly obeyed until the next, and a release at the end."""
    sent = tuple(point(n * every_min, share) for n, share in enumerate(shares))
    seen = tuple(Expected(n * every_min, (n + 1) * every_min, share, exactly=True) for n, share in enumerate(shares))
    return (*sent, Message(len(shares) * every_min, "release")), seen


BETWEEN = "never un-curtailed below another call"
TRACK, TRACKED = set_points(0.8, 0.7, 0.6, 0.5, 0.4, 0.3, every_min=6.0)  # downwards: rigs that were stopped rest for their minimum time

SCENARIOS: tuple[CallScenario, ...] = (
    CallScenario("basic", "a call for now, with an end", (deploy(0, 0.3),), (Expected(0, 25, 0.3),)),
    CallScenario(
        "advance-notice",
        "a call for later leaves the rigs alone until then",
        (deploy(0, 0.3, 15, 35),),
        (Expected(0, 14), Expected(15, 35, 0.3)),
        50.0,
    ),
    CallScenario(
        "until-recall", "a call without an end, recalled", (deploy(0, 0.3, end_min=None), Message(20, "recall")), (Expected(0, 20, 0.3),)
    ),
    CallScenario(
        "extended",
        "the end is moved out",
        (deploy(0, 0.3, 0, 15, version=1), deploy(10, 0.3, 0, 30, version=2)),
        (Expected(0, 30, 0.3),),
        45.0,
    ),
    CallScenario(
        "shortened", "the end is moved in", (deploy(0, 0.3, 0, 40, version=1), deploy(10, 0.3, 0, 15, version=2)), (Expected(0, 15, 0.3),)
    ),
    CallScenario(
        "cancelled-before", "a call is taken back before it begins", (deploy(0, 0.3, 15, 35), Message(5, "cancel")), (Expected(0, 35),)
    ),
    CallScenario(
        "cancelled-during", "a call is taken back while it is in force", (deploy(0, 0.3), Message(10, "cancel")), (Expected(0, 10, 0.3),)
    ),
    CallScenario("late-notice", "a call arrives ten minutes after its start", (deploy(10, 0.3, 0, 30),), (Expected(10, 30, 0.3),), 45.0),
    CallScenario("missed", "a call arrives after its end: nothing is curtailed for it", (deploy(20, 0.3, 0, 15),), (Expected(0, 35),)),
    CallScenario(
        "deeper",
        "more is asked for while the call is in force",
        (deploy(0, 0.6, version=1), deploy(10, 0.2, version=2)),
        (Expected(0, 10, 0.6), Expected(10, 25, 0.2)),
    ),
    CallScenario(
        "shallower",
        "less is asked for while the call is in force",
        (deploy(0, 0.2, version=1), deploy(10, 0.6, version=2)),
        (Expected(0, 10, 0.2), Expected(10, 25, 0.6)),
    ),
    CallScenario(
        "changed-without-version",
        "other content without a version is the next version",
        (deploy(0, 0.6), deploy(10, 0.2)),
        (Expected(0, 10, 0.6), Expected(10, 25, 0.2)),
    ),
    CallScenario(
        "duplicate", "the same message three times is one call", (deploy(0, 0.3, times=3), deploy(5, 0.3)), (Expected(0, 25, 0.3),)
    ),
    CallScenario(
        "duplicate-after-cancel",
        "a message that arrives again after the cancel does not bring the call back",
        (deploy(0, 0.3, 0, 110), Message(5, "cancel"), deploy(6, 0.3, 0, 110)),
        (Expected(80, 90),),
        90.0,
        DOCUMENTS,
    ),
    CallScenario(
        "out-of-order",
        "the newer version arrives first",
        (deploy(0, 0.2, 0, 25, version=2), deploy(3, 0.6, 0, 25, version=1)),
        (Expected(0, 25, 0.2),),
        speaks=NUMBERED,
    ),
    CallScenario(
        "cancel-before-call",
        "a recall that arrives before its call is refused, then the call is obeyed",
        (Message(0, "recall", refused=True), deploy(2, 0.3)),
        (Expected(2, 25, 0.3),),
        speaks=DOCUMENTS,
    ),
    CallScenario(
        "overlapping",
        "of two calls the lower counts",
        (deploy(0, 0.5, 0, 35, id="A"), deploy(10, 0.2, 10, 22, id="B")),
        (Expected(0, 10, 0.5), Expected(10, 22, 0.2), Expected(22, 35, 0.5)),
        50.0,
    ),
    CallScenario(
        "overlapping-ends",
        f"{BETWEEN}: the lower one ends first",
        (deploy(0, 0.2, 0, 15, id="A"), deploy(5, 0.5, 5, 30, id="B")),
        (Expected(0, 15, 0.2), Expected(15, 30, 0.5)),
        45.0,
    ),
    CallScenario(
        "overlapping-recall",
        f"{BETWEEN}: one is recalled",
        (deploy(0, 0.3, 0, 30, id="A"), deploy(5, 0.3, 5, None, id="B"), Message(15, "recall", id="B")),
        (Expected(0, 30, 0.3),),
        45.0,
    ),
    CallScenario(
        "overlapping-cancel",
        f"{BETWEEN}: the deeper one is cancelled",
        (deploy(0, 0.5, 0, 30, id="A"), deploy(5, 0.1, 5, 30, id="B"), Message(15, "cancel", id="B")),
        (Expected(0, 30, 0.5),),
        45.0,
    ),
    CallScenario(
        "back-to-back",
        "one call begins where another ends",
        (deploy(0, 0.3, 0, 15, id="A"), deploy(1, 0.3, 15, 30, id="B")),
        (Expected(0, 30, 0.3),),
        45.0,
    ),
    CallScenario("test", "a test is obeyed like a call", (Message(0, "test", 0.3, None, 25),), (Expected(0, 25, 0.3),)),
    CallScenario(
        "reduction", "so much less than at the notice", (Message(0, "deploy", 0.4, None, 25, reduce=True),), (Expected(0, 25, 0.65),)
    ),
    CallScenario("everything", "all that can be shed", (deploy(0, 0.0),), (Expected(0, 25, 0.0),)),
    CallScenario(
        "used-again",
        "an id is used again for another event",
        (deploy(0, 0.3, 0, 12), deploy(30, 0.5, 30, 45)),
        (Expected(0, 12, 0.3), Expected(30, 45, 0.5)),
        60.0,
        DOCUMENTS,
    ),
    CallScenario(
        "unknown-contract",
        "a call under a contract that the site has not is refused, and nothing happens",
        (deploy(0, 0.3, obligation="nobody", refused=True),),
        (Expected(0, 20),),
        25.0,
        DOCUMENTS,
    ),
    CallScenario(
        "silent",
        "the desk falls silent during a call: an alarm, and the call stays",
        (deploy(0, 0.3),),
        (Expected(0, 25, 0.3),),
        silent=True,
    ),
    CallScenario(
        "set-point",
        "one set point, then released",
        (point(0, 0.6), Message(20, "release")),
        (Expected(0, 20, 0.6, exactly=True),),
        speaks=SET_POINTS,
    ),
    CallScenario("set-point-track", "six set points, each obeyed until the next", TRACK, TRACKED, 50.0, SET_POINTS),
    CallScenario(
        "set-point-again",
        "the same set point again and again changes nothing",
        (*(point(float(n), 0.5) for n in range(15)), Message(15, "release")),
        (Expected(0, 15, 0.5, exactly=True),),
        speaks=SET_POINTS,
    ),
    CallScenario(
        "set-point-too-high",
        "a set point that no rigs of the site can draw is refused, and the one before holds",
        (point(0, 0.5), Message(5, "set_point", 3.0, refused=True), Message(15, "release")),
        (Expected(0, 15, 0.5, exactly=True),),
        speaks=SET_POINTS,
    ),
    CallScenario(
        "set-point-silent",
        "the desk falls silent: the last set point is held",
        (point(0, 0.5),),
        (Expected(0, 25, 0.5, exactly=True),),
        speaks=SET_POINTS,
        silent=True,
    ),
)
