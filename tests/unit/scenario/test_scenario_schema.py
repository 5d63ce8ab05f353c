"""The typed scenario and its JSON Schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
from pydantic import BaseModel, ValidationError

from sim.manifests import read_documents
from sim.scenario import schema
from sim.scenario.quantities import parse_rate_per_s
from sim.scenario.schema import STEPS, Scenario, Wait, as_written, scenario_schema

SCENARIOS = sorted(Path(__file__).parents[3].joinpath("scenarios").glob("*/scenario.yaml"))
FORMS: list[dict[str, Any]] = [
    {"apply": "plugin.yaml"},
    {"apply": {"file": "plugin.yaml", "missing": True}},
    {"bump": {"plugin": "a/b", "tag": "2.0.0"}},
    {"edit": {"plugin": "a/b", "patch": {"spec": {"defaultConfig": None}}}},
    {"delete": "a/b"},
    {"push": {"plugin": "request-block", "tag": "3.0.0"}},
    {"push": {"file": "own.wasm", "as": "hub.example.com/team/own:1"}},
    {"wait": {"settled": "a/b", "within": "1m30s"}},
    {"wait": {"event": "agent.fetch", "plugin": "a/b", "span": "failed"}},
    {"sleep": "1500ms"},
    {"request": "/"},
    {"request": {"path": "/x", "expect": {"status": 200, "headers": {"x-a": None}, "body_contains": "b"}}},
]


def scenario(*steps: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "ecdsim/v1",
        "kind": "Scenario",
        "metadata": {"name": "demo", "title": {"en": "A demonstration"}},
        "spec": {"steps": list(steps), **spec},
    }


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_form_of_a_step_is_read_and_written_back_as_the_same_step(form: dict[str, Any]) -> None:
    (step,) = Scenario.model_validate(scenario(form)).spec.steps
    written = as_written(step)
    assert list(written) == list(form)
    assert Scenario.model_validate(scenario(written)).spec.steps == [step]
    jsonschema.Draft202012Validator(scenario_schema()).validate(scenario(written))


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_json_schema_takes_every_form_of_a_step(form: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(scenario_schema()).validate(scenario(form))


@pytest.mark.parametrize(
    "wrong",
    [
        scenario({"bumb": {"plugin": "a/b", "tag": "1"}}),
        scenario({"sleep": 5}),
        scenario({"sleep": "5"}),
        scenario({"push": {"image": {"plugin": "request-block", "tag": "1"}}}),
        scenario({"sleep": "5s"}, traffic={"users": {"rate": 200}}),
        scenario({"sleep": "5s"}, gateway={"workers": 0}),
        scenario({"sleep": "5s"}, unknown=1),
        scenario(),
    ],
    ids=lambda wrong: str(wrong["spec"]),
)
def test_the_json_schema_refuses_what_loading_refuses(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Scenario.model_validate(wrong)
    assert not jsonschema.Draft202012Validator(scenario_schema()).is_valid(wrong)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.parent.name)
def test_the_scenario_library_fits_the_json_schema(path: Path) -> None:
    (document,) = read_documents(path.read_text(encoding="utf-8"), str(path), literal_keys=True)
    jsonschema.Draft202012Validator(scenario_schema()).validate(document.data)


def test_the_json_schema_is_one_itself() -> None:
    jsonschema.Draft202012Validator.check_schema(scenario_schema())


def test_every_field_says_what_it_is_for() -> None:
    models = [model for model in vars(schema).values() if isinstance(model, type) and issubclass(model, BaseModel)]
    assert set(STEPS) <= set(models)
    silent = [
        f"{model.__name__}.{name}"
        for model in models
        for name, field in model.model_fields.items()
        if not field.description and (model.__name__, name) != ("Push", "image")
    ]
    assert silent == []
    assert [model.__name__ for model in models if not model.__doc__] == []


def test_a_wait_says_what_it_is_for_and_how_long() -> None:
    wait = Wait(settled="a/b", within="1m30s")
    assert (wait.condition, wait.target, wait.within_s) == ("settled", "a/b", 90.0)
    event = Wait(event="agent.fetch", plugin="a/b")
    assert (event.condition, event.target, event.within_s) == (None, "a/b", 10.0)


@pytest.mark.parametrize(("text", "rate_per_s"), [("200/s", 200.0), ("0.5/s", 0.5), ("30/m", 0.5), ("0/s", 0.0)])
def test_a_rate_is_read_in_requests_a_second(text: str, rate_per_s: float) -> None:
    assert parse_rate_per_s(text) == rate_per_s


@pytest.mark.parametrize("text", ["200", "200/h", "/s", "-1/s", "1e3/s", "200 /s", ""])
def test_what_is_no_rate_is_refused_with_what_one_is(text: str) -> None:
    with pytest.raises(ValueError, match="such as 200/s"):
        parse_rate_per_s(text)
