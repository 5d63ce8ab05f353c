"""A step in one line."""

from __future__ import annotations

import json
from typing import Any

from sim.scenario.schema import Fault, Parallel, Repeat, Request, Step, as_written


def describe(step: Step) -> str:
    """The step much as it was written: `bump plugin=higress-system/request-block tag=2.0.0`."""
    if isinstance(step, Repeat):
        return f"repeat {step.times} times {len(step.steps)} steps"
    if isinstance(step, Parallel):
        return f"parallel {len(step.branches)} branches"
    ((kind, fields),) = as_written(step).items()
    if isinstance(step, Request):
        fields["expect"] = {key: value for key, value in fields["expect"].items() if value != {}}
    # An empty mapping says something only of a fault, whose kind it is: `down: {}`.
    empty: tuple[Any, ...] = (None, False, "") if isinstance(step, Fault) else (None, False, "", {})
    given = [(key, value) for key, value in fields.items() if value not in empty]
    if len(given) == 1 and not isinstance(given[0][1], dict):
        return f"{kind} {given[0][1]}"
    words = [f"{key}={json.dumps(v, ensure_ascii=False) if isinstance(v, dict | list) else v}" for key, v in given]
    return " ".join([kind, *words])
