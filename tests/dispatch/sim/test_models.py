"""Fleets of the catalogue's models: by weight, each in a dialect it speaks; and what a site file may say of that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyasic.miners.factory import MINER_CLASSES, MinerTypes
from typer.testing import CliRunner

from dispatch.cli import app
from dispatch.rigs.asics import OF_DIALECT
from dispatch.rigs.dialects import DRIVER_DIALECTS, dialect_and_wire_model, dialect_fault
from dispatch.rigs.wire import OF_MAKE, PORTS, Dialect
from dispatch.sim.models import ServeFault, faults_of, model_fleet, with_dialects
from dispatch.sim.spec import FleetSpec, GroupSpec, spec_from_json, spec_to_json
from dispatch.site_file import rig_catalogue
from dispatch.site_file.defaults import default_file
from dispatch.site_file.load import check_site_file
from tests.dispatch.rigs.fakes import site

MODELS = rig_catalogue.read_rig_catalogue(default_file("rigs.toml")).models


def test_rigs_are_shared_by_weight_and_each_speaks_its_dialect() -> None:
    spec = model_fleet(100, ["whatsminer-m60s=3", "antminer-s21", "antminer-s21:luxos=0.5", "proto-rig=0.5"])
    assert [(g.name, g.rigs, g.dialect, g.wire_model) for g in spec.groups] == [
        ("whatsminer-m60s", 60, "whatsminer-v2", "M60S_VK30"),
        ("antminer-s21", 20, "antminer", "Antminer S21"),
        ("antminer-s21:luxos", 10, "luxos", "Antminer S21"),
        ("proto-rig", 10, "proto", "Rig"),
    ]
    assert [g.rigs for g in model_fleet(7, ["whatsminer-m60s", "whatsminer-m50s", "antminer-s21"]).groups] == [3, 2, 2]
    assert spec_from_json(json.loads(json.dumps(spec_to_json(spec)))) == spec


@pytest.mark.parametrize("model", ["antminer-s21=0", "antminer-s21=-1", "antminer-s21=x", "antminer-s21=inf", "moonminer", "antminer-s21:"])
def test_an_impossible_fleet_is_refused_with_the_reason(model: str) -> None:
    with pytest.raises(ServeFault, match="antminer|catalogue"):
        model_fleet(3, [model])


def test_faults_name_a_model_as_it_was_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text('[{"fault": "loses_pools", "group": "antminer-s21:luxos", "rate": 0.5}]')
    assert faults_of(file, ["antminer-s21:luxos=2"])[0].group == "antminer-s21:luxos"
    with pytest.raises(ServeFault, match="is none of antminer-s21"):
        faults_of(file, ["antminer-s21"])


def test_a_group_of_an_unknown_model_answers_as_the_default() -> None:
    group = GroupSpec("g", "moonminer", 1, site(1).groups[0].modes, 5.0)
    assert with_dialects(FleetSpec((group,))).groups[0].dialect == "whatsminer-v2"


@pytest.mark.parametrize("name", MODELS)
def test_every_model_of_the_catalogue_has_a_dialect(name: str) -> None:
    model = MODELS[name]
    for dialect in OF_MAKE[model.make]:
        assert dialect_and_wire_model(name, dialect) == (dialect, model.wire_model or model.name)
    if model.make == "whatsminer" and model.wire_model:
        assert model.wire_model.replace("_", "")[:-1] + "0" in MINER_CLASSES[MinerTypes.WHATSMINER]


def test_each_kind_of_driver_has_its_dialects() -> None:
    assert set(DRIVER_DIALECTS["pyasic"]) == set(OF_DIALECT)
    assert {d for dialects in OF_MAKE.values() for d in dialects} == set(Dialect) == set(PORTS)
    rust = pytest.importorskip("dispatch.rigs.pyasic_rs", reason="pyasic-rs is an extra")
    assert set(DRIVER_DIALECTS["pyasic-rs"]) == set(rust.FIRMWARE)


def test_a_site_file_with_a_dialect_its_rigs_do_not_speak_is_refused(tmp_path: Path) -> None:
    text = default_file("six-makes.toml").read_text("utf-8")
    file = tmp_path / "site.toml"
    rust = text.replace('kind = "pyasic", subnet = "127.19.1.', 'kind = "pyasic-rs", subnet = "127.19.1.')
    file.write_text(rust.replace('dialect = "luxos"', 'dialect = "avalon"'))
    said = "\n".join(check_site_file(file).faults)
    assert "groups.b-s19kpro.driver: 'antminer-s19k-pro' speaks antminer, luxos, braiins, vnish or epic, not avalon" in said
    assert "groups.a-m60s.driver: pyasic-rs does not speak whatsminer-v2" in said and said.count("\n") == 1
    file.write_text(text.replace('dialect = "luxos"', 'dialect = "linux"'))
    assert [fault for fault in check_site_file(file).faults if "dialect" not in fault] == []
    assert dialect_fault("simulated", "moonminer", None) == "" and "use pyasic" in dialect_fault("pyasic-rs", "avalon-a15", None)


def test_the_groups_of_a_site_are_listed_with_dialect_and_address() -> None:
    done = CliRunner().invoke(app, ["rigs", "list", "--config", str(default_file("six-makes.toml")), "--json"])
    rows = {row["group"]: row for row in json.loads(done.stdout)["groups"]}
    other_firmware = {Dialect.BRAIINS, Dialect.VNISH, Dialect.EPIC}
    assert {row["dialect"] for row in rows.values()} == set(OF_DIALECT) - other_firmware - {Dialect.PROTO}
    assert rows["b-a15"]["where"] == "127.19.5.0/24" and rows["b-a15"]["driver"] == "pyasic"
