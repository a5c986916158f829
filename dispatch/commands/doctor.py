"""doctor: whether a site could run as it stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dispatch.commands import FINDINGS, Data, Ended, Json, out
from markets import counted

if TYPE_CHECKING:
    from dispatch.doctor import Check


def doctor(
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Site file (TOML). Default: the demonstration's.")] = None,
    data: Data = Path("data"),
    as_json: Json = False,
) -> None:
    """Try feeds, rigs, meters, links, clock, disk, ledger and permissions; nothing is switched. Exit 1 when a check fails."""
    import asyncio

    from dispatch.doctor import CheckResult
    from dispatch.site_file.defaults import DEMO_SITE, default_file

    said: Callable[[Check], None] = (lambda check: None) if as_json else (lambda check: out(None, False, _lines(check)))
    checks = asyncio.run(_examined(config or default_file(DEMO_SITE), data, said))
    failed = sum(check.verdict is CheckResult.FAIL for check in checks)
    warned = sum(check.verdict is CheckResult.WARN for check in checks)
    summary = f"{counted(len(checks), 'check')}: {failed} failed, {counted(warned, 'warning')}"
    rows = [{"name": c.name, "verdict": c.verdict.value, "found": c.found, "action": c.action} for c in checks]
    out({"checks": rows, "failed": failed, "warned": warned}, as_json, [summary])
    if failed:
        raise Ended(FINDINGS)


async def _examined(config: Path, data: Path, said: Callable[[Check], None]) -> list[Check]:
    from dispatch.clock import wall_now
    from dispatch.doctor.examine import examine

    checks = []
    async for check in examine(config, data, wall_now()):
        said(check)
        checks.append(check)
    return checks


def _lines(check: Check) -> list[str]:
    return [f"{check.verdict.value:4}  {check.name}: {check.found}", *([f"      -> {check.action}"] if check.action else [])]
