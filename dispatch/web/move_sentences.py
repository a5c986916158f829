"""What a manual move would do, in sentences."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from dispatch.decide.manual_move import TOUCHED_MW, MovePreview
from markets.grid import Market
from optimizer.domain.money import usd_text

MOST_GROUPS = 12  # named one by one


def move_sentences(move: MovePreview, second_above_mw: float | None) -> list[str]:
    """Megawatts, dollars and promises; `second_above_mw` is what one person may move where the move is more, else None."""
    out = [*_loads(move), _money(move.usd_per_hour)]
    out += [f"{name} will be missed by {mw:.3f} MW more." for name, mw in move.promises_mw.items()] or [
        "No promise is missed more than without it."
    ]
    if second_above_mw is not None:
        out.append(f"It moves more than {second_above_mw:g} MW: another person, with another key, must confirm it within an hour.")
    return out


def hold_end(until: datetime | None, market: Market) -> str:
    """When a hold ends by itself."""
    return "" if until is None else f"It ends by itself on {market_time(until, market)}."


def market_time(at: datetime, market: Market) -> str:
    """An instant on the market's clock, to the minute."""
    return f"{at.astimezone(market.tz):%a %-d %b %H:%M}"


def _loads(move: MovePreview) -> Iterable[str]:
    now, without, with_move = (sum(loads.values()) for loads in (move.now_mw, move.without_mw, move.with_mw))
    yield f"The site draws {now:.3f} MW now. With the move it draws {with_move:.3f} MW, without it {without:.3f} MW."
    yield f"The move is of {move.moved_mw:.3f} MW."
    changed = [name for name, mw in move.with_mw.items() if abs(mw - move.without_mw[name]) > TOUCHED_MW]
    for name in changed[:MOST_GROUPS]:
        yield f"{name}: {move.with_mw[name]:.3f} MW with the move, {move.without_mw[name]:.3f} MW without it."
    if len(changed) > MOST_GROUPS:
        yield f"{len(changed) - MOST_GROUPS} more groups change."


def _money(usd_per_hour: float | None) -> str:
    if usd_per_hour is None:
        return "What it earns or costs is not known: no real-time price or no hashprice is known now."
    if not usd_per_hour:
        return "It neither earns nor costs anything at the prices of now."
    return f"It {'earns' if usd_per_hour > 0 else 'costs'} {usd_text(abs(usd_per_hour))} an hour at the prices of now."
