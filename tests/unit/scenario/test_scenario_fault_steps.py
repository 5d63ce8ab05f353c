"""The steps `fault` and `clear`, and a guarded registry: read, written back, and checked before anything starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
from pydantic import ValidationError

from sim.errors import InvalidInput
from sim.oci.registry import BasicAuth, TokenAuth
from sim.scenario.external import ExternalParts
from sim.scenario.faults import links_of
from sim.scenario.load import load_scenario
from sim.scenario.problems import InvalidScenario
from sim.scenario.registry_spec import RegistrySpec
from sim.scenario.schema import Clear, Fault, Scenario, as_written, scenario_schema

HEAD = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {name: demo, title: {en: A demonstration}}
spec:
"""
FORMS: list[dict[str, Any]] = [
    {"fault": {"on": "agent-registry", "latency": {"latency": "200ms"}, "toxicity": 0.5}},
    {"fault": {"name": "n", "on": "registry", "status": {"code": 503, "count": 2}, "match": {"tag": "2.0.0"}}},
    {"fault": {"on": "discovery-agent", "drop_ack": {"type": "ecds"}, "gateway": "east"}},
    {"clear": "all"},
]

Write = Callable[[str], Path]


def scenario(*steps: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "ecdsim/v1",
        "kind": "Scenario",
        "metadata": {"name": "demo", "title": {"en": "A demonstration"}},
        "spec": {"steps": list(steps), **spec},
    }


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_scenario(body: str) -> Path:
        path = tmp_path / "demo.yaml"
        path.write_text(HEAD + body, encoding="utf-8")
        return path

    return write_scenario


def refused(path: Path) -> list[str]:
    """What is wrong, each with its line and its hint."""
    with pytest.raises(InvalidScenario) as caught:
        load_scenario(path)
    return [f"{p.where.line if p.where else '?'}: {p.message} | {p.hint}" for p in caught.value.problems]


# -- forms --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_fault_is_read_and_written_back_as_the_same_step(form: dict[str, Any]) -> None:
    (step,) = Scenario.model_validate(scenario(form)).spec.steps
    written = as_written(step)
    assert list(written) == list(form)
    assert Scenario.model_validate(scenario(written)).spec.steps == [step]
    validator = jsonschema.Draft202012Validator(scenario_schema())
    validator.validate(scenario(form))
    validator.validate(scenario(written))


def test_a_resolved_scenario_with_faults_and_a_guarded_registry_reads_back(write: Write, tmp_path: Path) -> None:
    loaded = load_scenario(
        write("""\
  seed: 7
  registry: {auth: {basic: {username: robot, password: p}}, tls: true}
  images: [{plugin: marker, tag: 1.0.0, functions: 5}]
  steps:
  - fault: {on: agent-envoy, disconnect: {}}
  - clear: disconnect
""")
    )
    again = tmp_path / "again.yaml"
    again.write_text(loaded.resolved_yaml(), encoding="utf-8")
    assert load_scenario(again).scenario.spec == loaded.scenario.spec.model_copy(
        update={"images": [image.entry.model_copy(update={"as_": image.written}) for image in loaded.images]}
    )


def test_a_kind_that_does_not_fit_its_place_is_refused_with_its_line(write: Write) -> None:
    (problem,) = refused(write("  steps:\n  - sleep: 1s\n  - fault: {on: agent-registry, drop_ack: {type: ecds}}\n"))
    assert problem.startswith("7: drop_ack is a fault of xDS messages, which agent-registry has none of | write on:")


def test_a_misspelt_kind_of_fault_gets_a_suggestion(write: Write) -> None:
    problems = refused(write("  steps:\n  - fault: {on: registry, statuss: {code: 503}}\n"))
    assert any("unknown key" in problem and "did you mean status?" in problem for problem in problems)


def test_ballast_is_for_bundled_plugins_and_has_limits() -> None:
    for wrong in ({"plugin": "marker", "tag": "1", "functions": 0}, {"file": "a.wasm", "as": "r/a:1", "functions": 5}):
        with pytest.raises(ValidationError):
            Scenario.model_validate(scenario({"sleep": "1s"}, images=[wrong]))


# -- which fault is in force ----------------------------------------------------------------------------------------

WELL = {
    "one after the other": "  - fault: {on: registry, status: {code: 503}}\n  - clear: status\n" * 2,
    "of two names": """\
  - fault: {on: registry, status: {code: 503}}
  - fault: {name: other, on: registry, status: {code: 429}}
  - clear: all
  - clear: all
""",
    "begun and ended in each round": """\
  - repeat:
      times: 3
      steps:
      - fault: {on: registry, status: {code: 503}}
      - clear: status
""",
    "ended in another branch": """\
  - parallel:
    - [{sleep: 1s}, {clear: status}]
    - fault: {on: registry, status: {code: 503}}
""",
    "begun in a branch, ended after": """\
  - parallel:
    - sleep: 1s
    - fault: {on: registry, status: {code: 503}}
  - clear: status
""",
}


@pytest.mark.parametrize("steps", WELL.values(), ids=WELL)
def test_faults_that_come_and_go_in_order_are_taken(steps: str, write: Write) -> None:
    load_scenario(write(f"  steps:\n{steps}"))


WRONG = {
    "never begun": (
        "  - fault: {name: slow, on: registry, slow_blob: {delay: 1s}}\n  - clear: slowly\n",
        "7: no fault slowly is in force | did you mean slow? in force by then: slow",
    ),
    "no fault at all": ("  - clear: slow\n", "6: no fault slow is in force | no earlier step injects a fault"),
    "ended twice": (
        "  - fault: {on: registry, status: {code: 503}}\n  - clear: status\n  - clear: status\n",
        "8: no fault status is in force | it was cleared before; leave this step out",
    ),
    "ended by all": (
        "  - fault: {on: registry, status: {code: 503}}\n  - clear: all\n  - clear: status\n",
        "8: no fault status is in force | it was cleared before; leave this step out",
    ),
    "begun twice": (
        "  - fault: {on: registry, status: {code: 503}}\n  - fault: {on: registry, status: {code: 429}}\n",
        "7: the fault status is in force already | clear it before this step, or give this one a name: status-2",
    ),
    "still there in the next round": (
        "  - repeat: {times: 2, steps: [{fault: {on: registry, status: {code: 503}}}]}\n",
        "6: the fault status is in force already | clear it before this step, or give this one a name: status-2",
    ),
    "ended in the first round": (
        "  - fault: {on: registry, status: {code: 503}}\n  - repeat: {times: 2, steps: [{clear: status}]}\n",
        "7: no fault status is in force | it was cleared before; leave this step out",
    ),
    "ended before its branch begins": (
        "  - clear: status\n  - parallel: [{sleep: 1s}, {fault: {on: registry, status: {code: 503}}}]\n",
        "6: no fault status is in force | no earlier step injects a fault",
    ),
}


@pytest.mark.parametrize(("steps", "told"), WRONG.values(), ids=WRONG)
def test_a_fault_that_can_t_be_begun_or_ended_there_is_named(steps: str, told: str, write: Write) -> None:
    assert refused(write(f"  steps:\n{steps}")) == [told]


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("{on: registry, status: {code: 503}, gateway: east}", "7: all gateways share registry | leave gateway out"),
        ("{on: core-discovery, down: {}, gateway: east}", "7: all gateways share core-discovery | leave gateway out"),
        (
            "{on: agent-envoy, down: {}, gateway: eats}",
            "7: there is no gateway 'eats' | did you mean east? gateways are east, west",
        ),
    ],
)
def test_a_fault_of_one_gateway_is_on_a_link_of_that_gateway(step: str, told: str, write: Write) -> None:
    assert refused(write(f"  gateways: [{{name: east}}, {{name: west}}]\n  steps:\n  - fault: {step}\n")) == [told]


def test_links_are_made_where_a_fault_names_one_and_understand_xds_where_one_must(write: Write) -> None:
    loaded = load_scenario(
        write("""\
  steps:
  - parallel:
    - fault: {on: discovery-agent, latency: {latency: 1ms}}
    - fault: {on: discovery-agent, nack: {type: lds}}
  - repeat: {times: 1, steps: [{fault: {on: agent-envoy, down: {}}}]}
  - fault: {on: registry, status: {code: 503}}
""")
    )
    faults = [placed.step for placed in loaded.every_step() if isinstance(placed.step, Fault)]
    assert links_of(list(faults)) == {"discovery-agent": True, "agent-envoy": False}


# -- with parts of somebody else -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("external", "body", "told"),
    [
        ("registry=a:1", "  steps: [{fault: {on: registry, status: {code: 503}}}]\n", "fault of our own registry"),
        ("discovery=a:1", "  steps: [{fault: {on: core-discovery, down: {}}}]\n", "no link core-discovery"),
        ("registry=a:1", "  registry: {tls: true}\n  steps: [{sleep: 1s}]\n", "spec.registry is about"),
    ],
)
def test_what_needs_a_part_of_our_own_is_refused_with_another(
    external: str, body: str, told: str, write: Write
) -> None:
    with pytest.raises(InvalidInput, match=told) as caught:
        ExternalParts.parse([external]).check(load_scenario(write(body)))
    assert caught.value.where is not None and caught.value.hint


def test_links_to_the_parts_of_others_take_faults(write: Write) -> None:
    loaded = load_scenario(write("  steps: [{fault: {on: agent-registry, down: {}}}]\n"))
    ExternalParts.parse(["registry=a:1"]).check(loaded)
    loaded = load_scenario(write("  steps: [{fault: {on: core-discovery, down: {}}}]\n  gateway: {port: 8080}\n"))
    ExternalParts.parse(["core=a:1"]).check(loaded)


# -- a guarded registry -------------------------------------------------------------------------------------------

LOGIN = {"username": "robot", "password": "open-sesame"}


def test_a_registry_is_open_unless_told_otherwise() -> None:
    spec = Scenario.model_validate(scenario({"sleep": "1s"})).spec
    assert (spec.registry.auth, spec.registry.tls) == (None, False)


@pytest.mark.parametrize(("scheme", "kind"), [("basic", BasicAuth), ("token", TokenAuth)])
def test_a_registry_wants_to_see_a_password_by_one_of_two_schemes(scheme: str, kind: type) -> None:
    spec = RegistrySpec.model_validate({"auth": {scheme: LOGIN}})
    assert spec.auth is not None
    guard = spec.auth.guard()
    assert type(guard) is kind
    assert (guard.user, guard.password) == ("robot", "open-sesame")


@pytest.mark.parametrize(
    ("auth", "told"),
    [
        ({}, "write basic or token"),
        ({"basic": LOGIN, "token": LOGIN}, "write basic or token"),
        ({"basic": {**LOGIN, "username": "a:b"}}, "has a colon"),
    ],
)
def test_a_registry_that_nobody_could_log_in_to_is_refused(auth: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        RegistrySpec.model_validate({"auth": auth})


def test_a_clear_has_a_short_form() -> None:
    (step,) = Scenario.model_validate(scenario({"clear": "slow"})).spec.steps
    assert step == Clear(name="slow")
