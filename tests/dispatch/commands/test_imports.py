"""meter import, settle --statement and reconcile from the command line: what they answer, and how they end."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal as D
from pathlib import Path

import pytest

from tests.dispatch.imports.ercot_documents import extract_csv, statement_xml
from tests.dispatch.settlement.fixtures import HandMadeDay
from tests.e2e.site import run_json, run_loadstone

ON = date(2026, 8, 20)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    site_day = HandMadeDay.of(folder / "data", ON)
    site_day.prices(lambda n: 30.0 + n)
    site_day.run_all()
    site_day.seen()
    site_day.telemetry.flush()
    site_day.engine.dispose()
    over = site_day.grid.intervals
    rows = [f"{o.start.isoformat()},{o.end.isoformat()},12.5" for o in over]
    (folder / "meter.csv").write_text("\n".join(["start,end,kWh", *rows[:90], rows[3]]), "utf-8")
    charges = [D("0.0125") * (30 + n) if n < 90 else D("0.011625") * (30 + n) for n in range(96)]
    (folder / "initial.xml").write_text(statement_xml(ON, {"RTEIAMT": charges}), "utf-8")
    header, interval = extract_csv(ON, {("RTEIAMT", ""): [usd + (D(2) if n == 7 else 0) for n, usd in enumerate(charges)]})
    (folder / "x_RTMOUTPUTHEADER_1.csv").write_text(header, "utf-8")
    (folder / "x_RTMOUTPUTINTERVAL_1.csv").write_text(interval, "utf-8")
    (folder / "calendar.csv").write_text(
        "SETTLEMENTTYPE,OPERATINGDATE,POSTDATE\nRTM_INITIAL,08/20/2026,08/25/2026\nRTM_FINAL,08/20/2026,10/14/2026\n", "utf-8"
    )
    return folder


def test_from_a_meter_file_to_a_reconciled_span(data: Path) -> None:
    first = run_json("settle", "2026-08-20", "--data", "data", "--format", "json", cwd=data)
    taken = run_json("meter", "import", "meter.csv", "--data", "data", cwd=data, status=1)
    assert (taken["rows"], taken["readings"], taken["new"], taken["meters"]) == (91, 90, True, ["main"])
    assert [f["kind"] for f in taken["findings"]] == ["duplicate"] and taken["from"] == taken["to"] == "2026-08-20"
    again = run_json("meter", "import", "meter.csv", "--data", "data", cwd=data, status=1)
    assert not again["new"]

    settled = run_json("settle", "2026-08-20", "--data", "data", "--statement", "initial.xml", "--format", "csv,json", cwd=data, status=1)
    assert (first["version"], settled["version"]) == (1, 2) and settled["meters"]["main"]["intervals"] == 90
    (row,) = settled["received"]["differences"]
    assert row["agrees"] and settled["received"]["statement_type"] == "INITIAL"
    kept = json.loads((data / "data/settlements/2026-08-20/settlement-v2.json").read_text("utf-8"))
    assert "received" not in kept and kept == {k: v for k, v in settled.items() if k != "received"}

    span = ("reconcile", "x_RTMOUTPUTINTERVAL_1.csv", "--from", "2026-08-19", "--to", "2026-08-21", "--data", "data")
    document = run_json(*span, "--calendar", "calendar.csv", cwd=data, status=1)
    assert [s["file"] for s in document["statements"]] == ["initial.xml", "x_RTMOUTPUTINTERVAL_1.csv"]
    assert document["disagree"] == 1 and document["statements"][1]["differences"][0]["unexplained_usd"] == "-2.00"
    assert [d["due"] for d in document["days"]] == [[], ["RTM_FINAL"], []]
    plain = run_loadstone("reconcile", "--from", "2026-08-20", "--to", "2026-08-20", "--data", "data", cwd=data)
    assert plain.returncode == 1 and "RTEIAMT" in plain.stdout and "differs by -$2.00" in plain.stdout
    assert "2026-08-20: RTM_FINAL posted and not received" in plain.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("meter", "import", "nothing.csv", "--data", "data"), "nothing.csv: No such file or directory"),
        (("meter", "import", "calendar.csv", "--data", "data"), "calendar.csv: no column is known to hold energy or load"),
        (("meter", "import", "meter.csv", "--data", "elsewhere"), "elsewhere: there is no ledger here"),
        (("reconcile", "--from", "2026-08-20", "--to", "yesterday", "--data", "data"), "--to: 'yesterday' is not a date"),
        (("reconcile", "--from", "2026-08-20", "--to", "2026-08-19", "--data", "data"), "--to 2026-08-19 is before --from"),
        (("settle", "2026-08-20", "--data", "data", "--statement", "meter.csv"), "meter.csv: no column is known to hold charges"),
        (("settle", "2026-08-20", "--data", "data", "--map", "x.toml"), "--map needs --statement"),
    ],
)
def test_each_fault_is_one_line_with_status_2(data: Path, words: tuple[str, ...], says: str) -> None:
    done = run_loadstone(*words, cwd=data)
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr
