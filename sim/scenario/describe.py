"""A step in one line."""

from __future__ import annotations

import json

from sim.scenario.schema import Parallel, Repeat, Step, as_written


def describe(step: Step) -> str:
    """The step much as it was written: `bump plugin=higress-system/request-block tag=2.0.0`."""
    if isinstance(step, Repeat):
        return f"repeat {step.times} times {len(step.steps)} steps"
    if isinstance(step, Parallel):
        return f"parallel {len(step.branches)} branches"
    ((kind, fields),) = as_written(step).items()
    given = [(key, value) for key, value in fields.items() if value not in (None, False, {}, "")]
    if len(given) == 1 and not isinstance(given[0][1], dict):
        return f"{kind} {given[0][1]}"
    words = [f"{key}={json.dumps(v, ensure_ascii=False) if isinstance(v, dict | list) else v}" for key, v in given]
    return " ".join([kind, *words])
