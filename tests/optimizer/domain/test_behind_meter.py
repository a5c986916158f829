"""A contract that generates names one meter, and somebody settles what is generated there."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from optimizer.domain.site import Scope
from optimizer.obligations.power import Power
from optimizer.obligations.renewable import Renewable
from tests.optimizer.fixtures import group, site, site_of_two_meters


def solar(**scope: object) -> Renewable:
    return Renewable(name="solar", mw=5.0, scope=Scope(**scope))


def test_on_two_meters_it_says_which() -> None:
    where = site_of_two_meters(export_mw=0.0)
    one, two = (m.id for m in where.meters)
    with pytest.raises(ValueError, match="solar: needs one meter"):
        solar().meter(where)
    (fault,) = solar().check_site(where, (Power(),))
    assert fault.text == f'needs one meter: scope = {{ meter = "..." }}; the site has {one}, {two}' and fault.key == ("scope",)
    assert solar(meter=two).meter(where).id == two
    assert not list(solar(meter=two).check_site(where, (Power(),)))


def test_a_part_of_a_meter_is_refused() -> None:
    with pytest.raises(ValidationError, match="needs a meter alone"):
        solar(hall="h")


def test_generation_that_nobody_settles_is_a_fault() -> None:
    where = site(group("g"))
    (fault,) = solar().check_site(where, ())
    assert fault.text == f"no power contract covers all of meter {where.meters[0].id!r}: its generation would not be settled"
