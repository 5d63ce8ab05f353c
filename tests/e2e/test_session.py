"""A run driven by hand, in step mode and without, and what is saved of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sim.core import Key
from sim.errors import InvalidInput, StepFailed
from sim.manifests import load_manifests
from sim.scenario.load import load_scenario
from sim.scenario.runner import RunOptions, opened, run_scenario
from sim.scenario.saved import saved_files, write_saved
from sim.scenario.session import Session
from sim.scenario.stops import LAST, Stops
from tests.e2e.conftest import SCENARIOS

pytestmark = pytest.mark.e2e

PLUGIN = "higress-system/request-block"
BUMP = {"bump": {"plugin": PLUGIN, "tag": "2.0.0"}}
SETTLED = {"wait": {"settled": PLUGIN}}


def options(runs_dir: Path, stops: Stops | None = None) -> RunOptions:
    return RunOptions(runs_dir=runs_dir, by_hand=True, hold_expectations=False, stops=stops)


async def stepped_through(session: Session, stops: Stops) -> dict[int, Counter[int]]:
    """Step on through the nine stops as soon as something waits at, or beyond, each; what waited where, by stop."""
    waited = {}
    for step in range(1, LAST + 1):
        while not any(count for where, count in stops.waiting.items() if where >= step):
            seen = len(session.trace.events)
            await session.trace.wait_for(lambda event: event.event == "run.held", since=seen)
        waited[step] = Counter(+stops.waiting)
        assert await stops.step_on() == step
    return waited


async def test_step_mode_holds_a_rollout_before_each_of_the_nine_steps(tmp_path: Path) -> None:
    stops = Stops()
    stops.on = True
    async with opened(load_scenario(SCENARIOS / "tag-bump"), options(tmp_path, stops)) as (run, stage):
        session = Session(run, stage)
        async with asyncio.TaskGroup() as tasks:
            walking = tasks.create_task(stepped_through(session, stops))
            await session.scenario_step(session.loaded.steps[0])
            await session.carry_out(SETTLED, "test")
        # A plugin that is added crosses every one of them.
        assert [step for step, where in walking.result().items() if where[step]] == list(range(1, LAST + 1))
        async with asyncio.TaskGroup() as tasks:
            walking = tasks.create_task(stepped_through(session, stops))
            await session.carry_out(BUMP, "test")
            await session.carry_out(SETTLED, "test")
        # A bump brings Envoy nothing to subscribe to.
        assert 5 not in [step for step, where in walking.result().items() if where[step]]
    assert run.result is not None
    assert [rollout.effective_ms is not None for rollout in run.result.rollouts] == [True, True]
    assert run.result.traffic["users"].failed == 0


async def test_what_was_done_by_hand_is_a_scenario_that_does_it_again(tmp_path: Path) -> None:
    async with opened(load_scenario(SCENARIOS / "tag-bump"), options(tmp_path)) as (run, stage):
        session = Session(run, stage)
        await session.apply(load_manifests(SCENARIOS / "tag-bump" / "request-block.yaml"), "kubectl")
        await session.carry_out({"push": {"plugin": "request-block", "tag": "3.0.0"}}, "page")
        await session.carry_out({"load": {"traffic": "users", "rate": "100/s"}}, "page")
        await session.carry_out({"bump": {"plugin": PLUGIN, "tag": "3.0.0"}}, "page")
        await session.carry_out(SETTLED, "test")
        # Nobody pushed this one.
        await session.carry_out({"bump": {"plugin": PLUGIN, "tag": "9.9.9"}}, "page")
        await session.carry_out({"wait": {"nacked": PLUGIN}}, "test")
        await session.carry_out({"edit": {"plugin": PLUGIN, "patch": {"spec": {"url": None}}}}, "page")
        await session.delete(Key("extensions.higress.io/v1alpha1", "WasmPlugin", *PLUGIN.split("/")), "kubectl")
        with pytest.raises(StepFailed, match="there is no WasmPlugin"):
            await session.carry_out(BUMP, "page")
        write_saved(saved_files(session), tmp_path / "saved")
    again = load_scenario(tmp_path / "saved")
    kinds = [step.kind for step in again.scenario.spec.steps]
    assert [kind for kind in kinds if kind not in ("wait", "sleep")] == [
        *("apply", "push", "load", "bump", "bump", "edit", "delete")
    ]
    result = await run_scenario(again, RunOptions(runs_dir=tmp_path))
    assert (result.outcome, result.error) == ("passed", None)


async def test_a_step_that_is_none_is_refused_before_anything_happens(tmp_path: Path) -> None:
    async with opened(load_scenario(SCENARIOS / "tag-bump"), options(tmp_path)) as (run, stage):
        session = Session(run, stage)
        events = len(session.trace.events)
        refused: list[dict[str, Any]] = [{"bmup": {}}, {}, {"bump": {"plugin": PLUGIN}}, {"sleep": "soon"}]
        for wrong in [*refused, {"apply": "no-such.yaml"}]:
            with pytest.raises(InvalidInput):
                await session.carry_out(wrong, "page")
        assert session.deeds == []
        assert not any(event.event == "run.step" for event in session.trace.events[events:])
