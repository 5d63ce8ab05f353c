"""JUnit XML as GitHub's actions, GitLab and Jenkins read it: well-formed whatever a log holds, counted right."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.report.junit import invalid_junit_xml, junit_xml
from sim.scenario.result import ErrorReport
from sim.scenario.suite import discover, load_suite
from sim.scenario.verdicts import CaseVerdict
from tests.unit.report.suites import attempt, missed, verdict

NOW = datetime(2026, 11, 21, 6, 0, 0, tzinfo=UTC)

#: What a reader knows of, element by element: its attributes, and the elements in it.
ALLOWED = {
    "testsuites": ({"name", "tests", "failures", "errors", "skipped", "time"}, {"testsuite"}),
    "testsuite": ({"name", "tests", "failures", "errors", "skipped", "time", "timestamp"}, {"testcase"}),
    "testcase": (
        {"classname", "name", "time", "file", "line"},
        {"properties", "failure", "error", "skipped", "system-out"},
    ),
    "properties": (set[str](), {"property"}),
    "property": ({"name", "value"}, set[str]()),
    "failure": ({"type", "message"}, set[str]()),
    "error": ({"type", "message"}, set[str]()),
    "skipped": ({"message"}, set[str]()),
    "system-out": (set[str](), set[str]()),
}


def read(*verdicts: CaseVerdict) -> ET.Element:
    """The XML, read back; its form is checked."""
    root = ET.fromstring(junit_xml(verdicts, NOW, 12.5))
    check(root)
    return root


def check(element: ET.Element) -> None:
    attributes, children = ALLOWED[element.tag]
    assert set(element.attrib) <= attributes
    for child in element:
        assert child.tag in children
        check(child)
    if element.tag in ("testsuites", "testsuite"):
        cases = element.findall(".//testcase")
        assert int(element.attrib["tests"]) == len(cases)
        for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(element.attrib[count]) == sum(case.find(tag) is not None for case in cases)


def test_every_outcome_is_an_element_of_its_own(tmp_path: Path) -> None:
    root = read(
        verdict(tmp_path, attempt(), name="passed"),
        verdict(tmp_path, attempt("failed", expectations=[missed()]), name="failed"),
        verdict(tmp_path, attempt("error", told="ecdsim: no Envoy\n  hint: install it"), name="error"),
        verdict(tmp_path, attempt(), attempt("failed", expectations=[missed()]), name="flaky"),
        verdict(tmp_path, attempt("interrupted"), name="interrupted"),
        verdict(tmp_path, name="not-run"),
    )
    found = {
        case.attrib["name"]: [child.tag for child in case if child.tag != "properties"]
        for case in root.iter("testcase")
    }
    assert found == {
        "passed": ["system-out"],
        "failed": ["failure", "system-out"],
        "error": ["error"],
        "flaky": ["failure", "system-out"],
        "interrupted": ["skipped", "system-out"],
        "not-run": ["skipped"],
    }
    assert root.attrib["time"] == "12.500"
    assert root[0].attrib["timestamp"] == "2026-11-21T06:00:00+00:00"


def test_what_an_interrupt_kept_from_running_does_not_look_well(tmp_path: Path) -> None:
    verdicts = [verdict(tmp_path, attempt(), name="passed"), verdict(tmp_path, name="waiting")]
    root = ET.fromstring(junit_xml(verdicts, NOW, 1.0, interrupted=True))
    check(root)
    (error,) = root.iter("error")
    assert error.attrib == {"type": "interrupted", "message": "not run: interrupted"}
    assert (root.attrib["errors"], root.attrib["skipped"]) == ("1", "0")


def test_a_failure_tells_the_expression_its_place_and_the_values(tmp_path: Path) -> None:
    (failure,) = read(verdict(tmp_path, attempt("failed", expectations=[missed(), missed("a == b")]))).iter("failure")
    assert failure.attrib == {"type": "expectation", "message": "not so: traffic.users.failed == 0 (and 1 more)"}
    assert failure.text is not None
    assert "demo/scenario.yaml:9: not so: traffic.users.failed == 0" in failure.text
    assert "traffic.users.failed = 3" in failure.text


def test_an_error_tells_what_to_do(tmp_path: Path) -> None:
    (error,) = read(verdict(tmp_path, attempt("error", told="ecdsim: no Envoy\n  hint: install it"))).iter("error")
    assert error.attrib == {"type": "error", "message": "no Envoy"}
    assert error.text is not None
    assert "hint: install it" in error.text


def test_two_cases_of_one_name_are_told_apart_by_their_class(tmp_path: Path) -> None:
    root = read(verdict(tmp_path / "a", attempt()), verdict(tmp_path / "b", attempt()))
    one, other = root.iter("testcase")
    assert one.attrib["name"] == other.attrib["name"]
    assert one.attrib["classname"] != other.attrib["classname"]


def test_the_time_of_several_runs_is_their_sum(tmp_path: Path) -> None:
    (case,) = read(verdict(tmp_path, attempt(), attempt(), attempt())).iter("testcase")
    assert case.attrib["time"] == "6.000"


@given(text=st.text(st.characters(), max_size=80))
def test_whatever_a_log_holds_the_xml_can_be_read(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    tmp_path = tmp_path_factory.getbasetemp()
    report = ErrorReport(message=f"!{text}", log_tail=text, hint=text)
    made = junit_xml([verdict(tmp_path, attempt("error", error=report))], NOW, 0)
    made.encode("utf-8")
    check(ET.fromstring(made))


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x08", "￾", "\ud800"])
def test_what_xml_can_not_hold_comes_out_as_its_escape(character: str, tmp_path: Path) -> None:
    made = junit_xml([verdict(tmp_path, attempt("failed", expectations=[missed(f"a{character}b == 1")]))], NOW, 0)
    (failure,) = ET.fromstring(made).iter("failure")
    assert "\\" in failure.attrib["message"]


def test_a_suite_that_can_not_be_run_has_the_invalid_scenario_as_an_error(tmp_path: Path) -> None:
    good = verdict(tmp_path, name="good").case.file
    bad = verdict(tmp_path, name="bad").case.file
    bad.write_text(bad.read_text(encoding="utf-8").replace("sleep: 1ms", "sleep: 1"), encoding="utf-8")
    root = ET.fromstring(invalid_junit_xml(load_suite(discover([good, bad])), NOW))
    check(root)
    found = {case.attrib["name"]: [child.tag for child in case] for case in root.iter("testcase")}
    assert found == {"bad": ["error"], "good": ["skipped"]}
    (error,) = root.iter("error")
    assert error.text is not None
    assert f"{bad}:6" in error.text
