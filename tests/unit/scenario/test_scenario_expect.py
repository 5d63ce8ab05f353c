"""Expectations: CEL over result.json, the values they looked at, and what they say when they can't be evaluated."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InvalidInput, Location
from sim.scenario.expect import check_version_rule, compile_expectation, evaluate_version
from sim.scenario.result import Expectation

WHERE = Location("demo.yaml", 31, 5, "spec.expect[0]")
CONTEXT: dict[str, Any] = {
    "scenario": "demo",
    "error": None,
    "environment": {"workers": 2},
    "duration_ms": 3000.5,
    "rollouts": [
        {
            "plugin": "a/b", "from": None, "to": "oci://x/y:1.0.0", "effective_ms": None, "acked": True, "cached": None,
            "stages_ms": {"fetch": None}, "workers": [{"worker": 0, "ready_ms": 3.5}],
        },
        {
            "plugin": "a/b", "from": "oci://x/y:1.0.0", "to": "oci://x/y:2.0.0", "effective_ms": 12.5, "acked": True,
            "cached": False, "stages_ms": {"fetch": 2.0},
            "workers": [{"worker": 0, "ready_ms": 3.5}, {"worker": 1, "ready_ms": None}],
        },
    ],
    "traffic": {
        "users": {
            "requests": 700, "failed": 7, "by_version": {"1.0.0": 500, "2.0.0": 193, "none": 7},
            "latency_ms": {"p50": 1.0, "p99": 2.5, "max": 9.75},
        }
    },
}  # fmt: skip


def hold(text: str) -> Expectation:
    return compile_expectation(text, WHERE, traffic=("users",)).evaluate(CONTEXT)


@pytest.mark.parametrize(
    "text",
    [
        "traffic.users.failed == 7",
        "traffic.users.failed < 7.5",
        "rollouts[1].effective_ms < 1000",
        "rollouts[1].effective_ms > 12",
        "12.5 == rollouts[1].effective_ms",
        "1000 >= rollouts[1].effective_ms && rollouts[1].effective_ms >= 12.5",
        "rollouts[0].effective_ms == null",
        "null != rollouts[1].effective_ms",
        "rollouts[1].cached == false",
        "rollouts[0].cached != false",
        "rollouts[0].cached != 0",
        "size(rollouts) == 2",
        "rollouts.size() == 2",
        "rollouts[size(rollouts) - 1].effective_ms == 12.5",
        "rollouts[size(rollouts)-1].effective_ms == 12.5",
        "rollouts[traffic.users.failed - 6].effective_ms == 12.5",
        "size(rollouts[1].workers) == environment.workers",
        '"2.0.0" in traffic.users.by_version',
        '!("3.0.0" in traffic.users.by_version)',
        'traffic.users.by_version["2.0.0"] > 100',
        "2 in [1, 2.0, 3]",
        "rollouts[0].workers.all(w, w.ready_ms != null)",
        "rollouts.exists(r, r.effective_ms == null)",
        "rollouts.exists_one(r, r.effective_ms != null && r.effective_ms < 20)",
        "size(rollouts.filter(r, r.stages_ms.fetch != null)) == 1",
        'rollouts.map(r, r.plugin) == ["a/b", "a/b"]',
        "rollouts.all(r, r.workers.all(w, w.worker < environment.workers))",
        "has(traffic.users.failed) && !has(traffic.users.nothing)",
        'rollouts[1].to.endsWith(":2.0.0") && rollouts[1].to.startsWith("oci://") && rollouts[1].to.contains("/y:")',
        'rollouts[1].to.matches("^oci://.*:[0-9.]+$")',
        'scenario == "demo" ? true : false',
        "rollouts[0].effective_ms == null || rollouts[0].effective_ms < 5",
        "rollouts[0].effective_ms < 5 || true",
        "traffic.users.failed / traffic.users.requests == 0.01",
        "traffic.users.latency_ms.max - traffic.users.latency_ms.p99 > 7",
        "traffic.users.requests % 2 == 0 && 7 / 2 == 3",
        "rollouts[1].effective_ms * 2 == 25 && -rollouts[1].effective_ms < 0",
        'string(traffic.users.failed) == "7" && int(rollouts[1].effective_ms) == 12',
        "error == null",
    ],
)
def test_an_expectation_that_is_true_has_passed(text: str) -> None:
    held = hold(text)
    assert held.error is None
    assert held.passed
    assert (held.that, held.where) == (text, "demo.yaml:31")


@pytest.mark.parametrize(
    "text",
    [
        "traffic.users.failed == 0",
        "rollouts[1].effective_ms >= 1000",
        "rollouts[1].workers.all(w, w.ready_ms != null)",
        "rollouts[0].cached == false",
        '"3.0.0" in traffic.users.by_version',
        "has(rollouts[0].nothing)",
        "false && rollouts[9].acked",
    ],
)
def test_an_expectation_that_is_false_has_failed_without_an_error(text: str) -> None:
    held = hold(text)
    assert (held.passed, held.error) == (False, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("traffic.users.failed", "it gives a number"),
        ("rollouts[1]", "it gives a map"),
        ("rollouts", "it gives a list"),
        ("(rollouts.filter(r, r.acked))", "it gives a list"),
        ("size(rollouts)", "it gives a number"),
        ('events("agent.fetch").size()', "it gives a number"),
        ("rollouts[0].plugin", "it gives a string"),
        ("gateways.east.pid == 1", "no gateway east"),
        ('gateways["east"].pid == 1', "no gateway east"),
        ('combination.format == "oci"', "no matrix"),
    ],
)
def test_what_can_never_be_true_is_refused_before_the_run(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        compile_expectation(text, WHERE, gateways=("west",), combined=False)


@pytest.mark.parametrize(
    "text",
    [
        "rollouts[0].acked",
        'combination == null || combination.format == "oci"',
        "rollouts.all(r, r.acked)",
        "gateways.all(g, gateways[g].filters.size() > 0)",
        "dyn(traffic.users.failed)",
        'events("agent.fetch")[0].data.known',
    ],
)
def test_what_may_be_true_is_taken(text: str) -> None:
    compile_expectation(text, WHERE, traffic=("users",), gateways=("west",), combined=False)


@pytest.mark.parametrize(
    ("text", "actual"),
    [
        ("traffic.users.failed == 0", {"traffic.users.failed": 7}),
        (
            "rollouts[1].effective_ms < 5 && rollouts[0].acked",
            {"rollouts[1].effective_ms": 12.5, "rollouts[0].acked": True},
        ),
        ("rollouts[size(rollouts) - 1].acked", {"rollouts[1].acked": True}),
        ('traffic.users.by_version["2.0.0"] == 0', {'traffic.users.by_version["2.0.0"]': 193}),
        ("size(rollouts) == 2", {"size(rollouts)": 2}),
        (
            "size(traffic.users.by_version) == 2",
            {
                "size(traffic.users.by_version)": 3,
                "traffic.users.by_version": {"1.0.0": 500, "2.0.0": 193, "none": 7},
            },
        ),
        (
            "rollouts.all(r, r.workers.all(w, w.ready_ms < 3))",
            {
                "rollouts[0].workers[0].ready_ms": 3.5,
                "rollouts[1].workers[0].ready_ms": 3.5,
                "rollouts[1].workers[1].ready_ms": None,
            },
        ),
        (
            "rollouts.all(r, r.acked == (traffic.users.failed == 0))",
            {"rollouts[0].acked": True, "traffic.users.failed": 7, "rollouts[1].acked": True},
        ),
        ("has(rollouts[0].cached)", {"rollouts[0].cached": None}),
        ("rollouts[7].acked", {"size(rollouts)": 2}),
        ("1 == 1", {}),
    ],
)
def test_the_values_that_an_expectation_looked_at_are_told(text: str, actual: dict[str, Any]) -> None:
    assert hold(text).actual == actual


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("rollouts[5].acked", "rollouts has no [5]; the last is rollouts[1]"),
        ("rollouts[-1].acked", "rollouts is a list, and -1 is no place in it; places are 0, 1, …"),
        ("rollouts[0.5].acked", "rollouts is a list, and 0.5 is no place in it; places are 0, 1, …"),
        (
            'traffic.users.by_version["2.0"] > 0',
            'traffic.users.by_version has no "2.0"; did you mean 2.0.0? it has "1.0.0", "2.0.0", none',
        ),
        (
            "rollouts[0].effective_ms < 1000",
            "rollouts[0].effective_ms is null and can't be compared by < with 1000;"
            " write rollouts[0].effective_ms != null && … where it may be missing",
        ),
        (
            "rollouts.all(r, r.effective_ms < 1000)",
            "r.effective_ms is null and can't be compared by < with 1000;"
            " write r.effective_ms != null && … where it may be missing",
        ),
        ("scenario < 5", "scenario is a string and 5 is a number; < does not compare these"),
        ("dyn(traffic.users.failed)", "it gives a number, neither true nor false; compare it with something"),
        ("dyn(rollouts[0].from)", "it gives null, neither true nor false; compare it with something"),
        ("!traffic.users.failed", "traffic.users.failed is a number, neither true nor false"),
        ("traffic.users.failed && true", "traffic.users.failed is a number, neither true nor false"),
        ("-scenario == 1", "scenario is a string, not a number"),
        (
            '"de" in scenario',
            "scenario is a string, and nothing can be in it; for text inside text write text.contains(…)",
        ),
        ("size(rollouts[0].effective_ms) == 0", "size() can't be asked of null"),
        ('rollouts[0].from.contains("x")', "rollouts[0].from is null, so contains() can't be asked of it"),
        ("scenario.all(c, true)", "scenario is a string; all() is for lists and maps"),
        ("scenario.startsWith(5)", "startsWith() can't take what it is given here"),
        ("traffic.users.failed / 0 > 1", "7 / 0 is no number"),
        ("1 / 0 > 1", "1 / 0 is no number"),
        ("scenario + 1 == 2", "+ can't be applied to a string and a number"),
        ("environment.python == null", "environment has no python; it has workers"),
        ("duration_ms > duration(scenario)", "duration(): return error for overflow"),
    ],
)
def test_an_expectation_that_can_not_be_evaluated_has_failed_and_says_why(text: str, error: str) -> None:
    held = hold(text)
    assert (held.passed, held.error) == (False, error)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("traffic.users.failed = 0", "unexpected '=' at character 22", "CEL writes == for ="),
        ("rollouts[0].acked and true", "unexpected 'and' at character 19", "CEL writes && for and"),
        ("not rollouts[0].acked", "this is not CEL", "write it like"),
        ("traffic.users.failed ==", "it breaks off at its end", "write it like"),
        ("size(rollouts", "it breaks off at its end", "a ) is missing"),
        ("$", "unexpected '$' at character 1", "write it like"),
        ("1 == 1 && " * 300 + "true", "longer than 2000 characters", "write it like"),
        ("rollout[0].acked", "there is no rollout to look at", "did you mean rollouts?"),
        ("users.failed == 0", "there is no users to look at", "write traffic.users"),
        ("outcome == 'passed'", "there is no outcome to look at", "names are"),
        ("scenario == demo", "there is no demo to look at", "text stands in quotes"),
        ("traffic.user.failed == 0", "there is no traffic user", "did you mean users?"),
        ("traffic['user'].failed == 0", "there is no traffic user", "did you mean users?"),
        ("traffic.users.fialed == 0", "traffic.users has no fialed", "did you mean failed?"),
        ("rollouts[1].stages_ms.fech == 0", "rollouts[1].stages_ms has no fech", "did you mean fetch?"),
        ("rollouts.all(r, r.aked)", "r has no aked", "did you mean acked?"),
        ("rollouts.filter(r, r.acked)[0].aked", "rollouts.filter(r, r.acked)[0] has no aked", "did you mean acked?"),
        ("rollouts.acked", "rollouts is a list and has no acked", "rollouts[0].acked"),
        ("duration_ms.value > 1", "duration_ms has no value", "compare duration_ms itself"),
        ("has(traffic.user.failed)", "there is no traffic user", "did you mean users?"),
        ("sizeof(rollouts) == 1", "there is no function sizeof()", "did you mean size?"),
        ("scenario.beginsWith('d')", "there is no function beginsWith()", "functions are size"),
        ("rollouts.all(r.acked)", "all() needs a name and an expression", "rollouts.all(r, r.acked)"),
    ],
)
def test_an_expectation_that_could_never_be_evaluated_is_refused_at_its_line(
    text: str, message: str, hint: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        compile_expectation(text, WHERE, traffic=("users",))
    assert message in refused.value.message
    assert hint in str(refused.value.hint)
    assert refused.value.where == WHERE


def test_any_traffic_may_be_named_where_the_scenario_is_not_known() -> None:
    assert compile_expectation("traffic.anyone.failed == 7", WHERE).evaluate(
        {"traffic": {"anyone": {"failed": 7}}}
    ).passed  # fmt: skip


def test_brackets_within_brackets_are_understood_or_refused_but_end_no_run() -> None:
    assert hold("(" * 50 + "rollouts[0].acked" + ")" * 50).passed
    for text in ("(" * 900 + "true" + ")" * 900, "!" * 1900 + "true", "[" * 900 + "]" * 900 + " != 1"):
        held = hold(text)
        assert held.passed or "too many brackets" in str(held.error)


def test_a_value_that_holds_keys_that_celpy_would_take_for_names_is_left_alone() -> None:
    context = {"traffic": {"users": {"by_version": {"a.b": 1, "": 2, "int": 3}}}}
    held = compile_expectation('traffic.users.by_version["a.b"] == 1', WHERE).evaluate(context)
    assert held.passed


@given(
    left=st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False)),
    right=st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False)),
)
def test_numbers_compare_as_python_has_it_whatever_their_types(left: float, right: float) -> None:
    context = {"rollouts": [{"effective_ms": left, "settled_ms": right}]}
    for symbol, expected in (("<", left < right), ("==", left == right), (">=", left >= right)):
        text = f"rollouts[0].effective_ms {symbol} rollouts[0].settled_ms"
        assert compile_expectation(text, WHERE).evaluate(context).passed is expected


@pytest.mark.parametrize(
    ("rule", "version"),
    [
        ('response.headers["X-Version"]', "2.0.0"),
        ('response.headers["x-nothing"]', None),
        ('response.headers["x-nothing"].startsWith("2")', None),
        ('response.status == 403 ? "2.0.0" : "1.0.0"', "2.0.0"),
        ("response.status >= 500 ? 'x' : null", None),
        ('response.body.contains("blocked") ? "2" : "1"', "2"),
    ],
)
def test_a_version_rule_reads_the_version_off_a_response(rule: str, version: str | None) -> None:
    check_version_rule(rule, WHERE)
    assert evaluate_version(rule, 403, {"x-version": "2.0.0"}, b"blocked\xff") == version


def test_a_version_rule_that_gives_no_version_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"gives a number \(403\), not a version"):
        evaluate_version("response.status", 403, {}, "")


@pytest.mark.parametrize(
    ("rule", "given"),
    [
        ("response.status", "a number (200)"),
        ("response.status == 403", "false"),
        ("response.status < 500 ? '1' : 0", "a number (0)"),
        ("size(response.body)", "a number (0)"),
    ],
)
def test_a_version_rule_that_can_be_seen_to_give_no_version_is_refused_at_its_place(rule: str, given: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_version_rule(rule, WHERE)
    assert f"version_by gives {given}" in refused.value.message
    assert refused.value.where == WHERE


@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        ("response.code == 3", "it has status, headers, body"),
        ("rollouts[0].acked", "names are response"),
        ("response.status = 3", "CEL writes == for ="),
    ],
)
def test_a_version_rule_that_names_what_a_response_lacks_is_refused(rule: str, hint: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_version_rule(rule, WHERE)
    assert hint in str(refused.value.hint)
    assert refused.value.where == WHERE


def test_evaluating_leaves_the_recursion_limit_and_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    limit = sys.getrecursionlimit()
    hold("rollouts[9].acked || scenario.startsWith(5)")
    assert sys.getrecursionlimit() == limit
    assert caplog.records == []


def test_the_cel_library_is_imported_only_where_an_expression_is() -> None:
    code = "import sys, sim.scenario.load, sim.scenario.expect; sys.exit('celpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("rollouts.filter(r, r.effective_ms != null)[0].effective_ms < 1", "rollouts[1].effective_ms", 12.5),
        ("rollouts.filter(r, r.effective_ms != null)[0].stages_ms.fetch > 5", "rollouts[1].stages_ms.fetch", 2.0),
        ("rollouts.filter(r, r.acked).all(r, r.cached)", "rollouts[1].cached", False),
        ("rollouts.filter(r, r.plugin == 'c/d').size() == 1", "size(rollouts.filter(r, r.plugin == 'c/d'))", 0),
        ("rollouts.map(r, r.effective_ms) == [1, 2]", "rollouts.map(r, r.effective_ms)", [None, 12.5]),
        ("rollouts.map(r, r.effective_ms)[1] < 1", "rollouts.map(r, r.effective_ms)[1]", 12.5),
        (
            "rollouts[1].workers.filter(w, w.worker == 0).map(w, w.ready_ms)[0] > 5",
            "rollouts[1].workers.filter(w, w.worker == 0).map(w, w.ready_ms)[0]",
            3.5,
        ),
    ],
)
def test_behind_a_chain_of_macros_the_value_that_decides_is_told(text: str, path: str, value: object) -> None:
    held = hold(text)
    assert (held.passed, held.error) == (False, None)
    assert path in held.actual, held.actual
    assert held.actual[path] == value


def test_a_function_of_another_language_is_answered_with_cels() -> None:
    with pytest.raises(InvalidInput, match="no function count") as raised:
        compile_expectation('events("agent.fetch").count() == 1', WHERE)
    assert raised.value.hint == "write size()"
