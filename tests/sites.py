"""Small sites for tests, as documents a site file would hold."""

from __future__ import annotations

from typing import Any

from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup


def document(**changes: Any) -> dict[str, Any]:
    """Two halls, an old and a new model, ERCOT's west, a fixed hashprice of 45 $/PH/day. `changes` replace sections."""
    return {
        "site": {
            "name": "Small",
            "market": "ercot",
            "settlement_point": "LZ_WEST",
            "interconnect_mw": 1.0,
            "horizon_h": 24,
        },
        "meters": [{"id": "main"}],
        "halls": [{"name": "a", "meter": "main", "limit_mw": 0.5}, {"name": "b", "meter": "main", "limit_mw": 0.5}],
        "groups": [group("a-old", "a", watts=3000.0, ths=100.0), group("b-new", "b", watts=3500.0, ths=200.0)],
        "prices": {"source": "synthetic", "seed": 1},
        "hash": {"source": "fixed", "usd_per_ph_day": 45.0, "pool_fee": 0.0},
        "obligations": [{"type": "power"}],
        **changes,
    }


def group(name: str, hall: str, *, watts: float, ths: float, rigs: int = 40, **more: Any) -> dict[str, Any]:
    modes = [{"name": "sleep", "watts": 20.0, "ths": 0.0}, {"name": "normal", "watts": watts, "ths": ths}]
    return {"name": name, "hall": hall, "model": "whatsminer-m50s", "rigs": rigs, "modes": modes, "wake_min": 5.0, **more}


def small(**changes: Any) -> Setup:
    """Breakevens at 45 $/PH/day: a-old 62.50 $/MWh (30 J/TH), b-new 107.14 $/MWh (17.5 J/TH)."""
    return setup_from_document(document(**changes))
