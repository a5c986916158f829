"""Groups proposed from what a scan found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dispatch.new_site.halls import halls_by_map, halls_by_subnet
from dispatch.new_site.proposed_groups import catalogue_model, counted_group, groups_of_scan, map_rows
from dispatch.site_file.defaults import default_file
from dispatch.site_file.rig_catalogue import read_rig_catalogue

MODELS = read_rig_catalogue(default_file("rigs.toml")).models


def found(ip: str, model: str = "S21", dialect: str = "antminer", make: str = "AntMiner", note: str = "") -> dict[str, Any]:
    return {"ip": ip, "make": make, "model": model, "firmware": "1", "dialect": dialect, "note": note}


@pytest.mark.parametrize(
    ("reported", "dialect", "model"),
    [
        ("S21", "luxos", "antminer-s21"),
        ("S21PlusHydro", "luxos", "antminer-s21-plus-hyd"),
        ("Antminer S21 XP Hyd.", "vnish", "antminer-s21-xp-hyd"),
        ("M60S VK30", "whatsminer-v2", "whatsminer-m60s"),
        ("M60S_VK10", "whatsminer-v3", "whatsminer-m60s"),
        ("M66S+ VL30", "whatsminer-v2", "whatsminer-m66s-plus"),
        ("M66S++ VL20", "whatsminer-v2", "whatsminer-m66s++"),
        ("Avalon 1566", "avalon", "avalon-a1566"),
        ("AT2880", "auradine", "teraflux-at2880"),
        ("S99", "antminer", ""),
        ("", "antminer", ""),
        ("S21", "avalon", ""),
    ],
)
def test_a_model_is_found_whatever_way_its_rigs_write_it(reported: str, dialect: str, model: str) -> None:
    assert catalogue_model(reported, dialect, MODELS) == model


def test_every_model_of_the_catalogue_is_found_by_the_name_it_reports() -> None:
    for name, model in MODELS.items():
        dialect = {"whatsminer": "whatsminer-v2", "antminer": "antminer", "avalon": "avalon", "auradine": "auradine", "proto": "proto"}
        if model.wire_model and model.make in dialect:
            assert catalogue_model(model.wire_model, dialect[model.make], MODELS) == name


def test_a_group_is_made_for_each_hall_model_and_dialect() -> None:
    rows = [found("10.0.0.9"), found("10.0.0.1"), found("10.0.0.2", dialect="luxos"), found("10.0.1.1", "M60S VK30", "whatsminer-v2")]
    groups = groups_of_scan(rows, MODELS, halls_by_subnet(["a=10.0.0.0/24", "b=10.0.1.0/24"])).groups
    assert [(g.name, g.hall, g.model, g.rigs, g.dialect) for g in groups] == [
        ("a-s21-antminer", "a", "antminer-s21", 2, None),
        ("a-s21-luxos", "a", "antminer-s21", 1, "luxos"),
        ("b-m60s", "b", "whatsminer-m60s", 1, None),
    ]
    assert [row["ip"] for row in map_rows(groups)] == ["10.0.0.9", "10.0.0.1", "10.0.0.2", "10.0.1.1"]


def test_what_cannot_be_driven_or_placed_is_named_and_left_out() -> None:
    rows = [found("10.0.0.1", "S99"), found("10.0.0.2", "S98"), found("10.0.0.3", "BitAxe", "", note="no stop"), found("10.9.0.1")]
    proposal = groups_of_scan(rows, MODELS, halls_by_subnet(["a=10.0.0.0/24"]))
    assert proposal.groups == ()
    assert proposal.left_out == (
        "1 rig (10.0.0.1) left out: the catalogue has no AntMiner S99; write a group with its modes in full",
        "1 rig (10.0.0.2) left out: the catalogue has no AntMiner S98; write a group with its modes in full",
        "1 rig (10.0.0.3) left out: no stop",
        "1 rig (10.9.0.1) left out: no hall is given for this address",
    )


def test_halls_come_from_a_table_of_addresses_too(tmp_path: Path) -> None:
    file = tmp_path / "halls.csv"
    file.write_text("ip;hall\n10.0.0.1;a\n10.0.0.2;b\n", "utf-8")
    hall_of = halls_by_map(file)
    assert [hall_of(ip) for ip in ("10.0.0.1", "10.0.0.2", "10.0.0.3")] == ["a", "b", ""]
    with pytest.raises(ValueError, match="is public"):
        halls_by_subnet(["a=8.8.8.0/24"])
    with pytest.raises(ValueError, match="not NAME=SUBNET"):
        halls_by_subnet(["10.0.0.0/24"])


@pytest.mark.parametrize(
    ("text", "message"), [("antminer-s21", "MODEL=COUNT"), ("antminer-s21=0", "MODEL=COUNT"), ("s21=5", "not in the catalogue")]
)
def test_a_wrong_count_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        counted_group(text, MODELS)
