"""The plans of a baseline without changes, each made once: what-ifs asked between two looks at the site compare with the same one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dispatch.decide.plan_inputs import PlanInputs
from dispatch.runtime.planner import make_plan
from dispatch.what_if.apply import BaseRequest, base_inputs
from dispatch.what_if.baseline import Baseline
from dispatch.what_if.scenario import Scenario
from optimizer.planning.plan_json import PlanDocument

MakePlan = Callable[[PlanInputs], PlanDocument]
KEPT = 8  # plans of one baseline, over different spans


@dataclass(frozen=True, slots=True)
class BasePlan:
    """A plan without changes and what it was made from."""

    inputs: PlanInputs
    plan: PlanDocument


class BasePlans:
    """The base plans of one baseline by what scenarios ask for."""

    def __init__(self, baseline: Baseline, make_plan: MakePlan = make_plan) -> None:
        self.baseline, self.make_plan = baseline, make_plan
        self._made: dict[BaseRequest, BasePlan] = {}

    def of(self, scenario: Scenario) -> BasePlan:
        """Raises InvalidDocument for a span it cannot use."""
        asked = BaseRequest.of(self.baseline, scenario)
        found = self._made.get(asked)
        if found is None:
            inputs = base_inputs(self.baseline, asked)
            found = BasePlan(inputs, self.make_plan(inputs))
            if len(self._made) >= KEPT:
                self._made.clear()
            self._made[asked] = found
        return found
