"""A suite as JUnit XML, in the form that GitHub's actions, GitLab and Jenkins read."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from sim.report.case_problems import Problem, invalid_problems, problems_of
from sim.scenario.suite import Suite
from sim.scenario.verdicts import CaseVerdict

_SUITE = "ecdsim"


def junit_xml(verdicts: Sequence[CaseVerdict], started: datetime, seconds: float, *, interrupted: bool = False) -> str:
    """One `testcase` for each case: a `failure` where its demands were not met, an `error` where it could not be run,
    `skipped` where it was not, for a reason of the suite's own.

    `interrupted`: what has not come to an end by now never will, and is an `error`; skipped, it would look well.
    """
    suite = ET.Element("testsuite")
    for verdict in verdicts:
        suite.append(_case(verdict, interrupted=interrupted))
    return _document(suite, started, seconds)


def invalid_junit_xml(suite: Suite, started: datetime) -> str:
    """The same of a suite that can't be run: the invalid scenarios as errors, the cases as skipped."""
    element = ET.Element("testsuite")
    for path, errors in suite.invalid.items():
        problems = invalid_problems(errors, str(path))
        case = _testcase(path.parent.name if path.stem == "scenario" else path.stem, path, problems[0].line, 0.0)
        case.append(_trouble("error", problems))
        element.append(case)
    for each in suite.cases:
        case = _testcase(each.name, each.file, each.where.line, 0.0)
        ET.SubElement(case, "skipped", {"message": "another scenario is not valid"})
        element.append(case)
    return _document(element, started, 0.0)


def _case(verdict: CaseVerdict, *, interrupted: bool) -> ET.Element:
    case = verdict.case
    element = _testcase(case.name, case.file, case.where.line, verdict.seconds)
    if case.labels:
        properties = ET.SubElement(element, "properties")
        for label in case.labels:
            ET.SubElement(properties, "property", {"name": "label", "value": label})
    problems = problems_of(verdict)
    if verdict.outcome in ("failed", "flaky", "error"):
        element.append(_trouble("error" if verdict.environment else "failure", problems))
    elif verdict.outcome != "passed" and interrupted:
        message = "not run: interrupted" if verdict.outcome == "not run" else "interrupted"
        ET.SubElement(element, "error", {"type": "interrupted", "message": message})
    elif verdict.outcome != "passed":
        ET.SubElement(element, "skipped", {"message": verdict.outcome})
    directories = [str(attempt.directory) for attempt in verdict.attempts if attempt.directory is not None]
    if directories:
        ET.SubElement(element, "system-out").text = _fit("\n".join(directories) + "\n")
    return element


def _testcase(name: str, file: Path, line: int | None, seconds: float) -> ET.Element:
    # GitLab and Jenkins know a case by class and name together; the folder tells two of one name apart.
    folder = ".".join(part for part in file.parent.parts if part not in ("/", ".", ".."))
    attributes = {"classname": folder or _SUITE, "name": name, "time": f"{seconds:.3f}", "file": str(file)}
    if line is not None:
        attributes["line"] = str(line)
    return ET.Element("testcase", {key: _fit(value) for key, value in attributes.items()})


def _trouble(kind: str, problems: Sequence[Problem]) -> ET.Element:
    first, more = problems[0], len(problems) - 1
    message = f"{first.message}{f' (and {more} more)' if more else ''}"
    element = ET.Element(kind, {"type": first.kind, "message": _fit(message)})
    lines = []
    for problem in problems:
        lines += [f"{problem.where}: {problem.message}", *(f"    {line}" for line in problem.told())]
    element.text = _fit("\n".join(lines) + "\n")
    return element


def _document(suite: ET.Element, started: datetime, seconds: float) -> str:
    counts: Mapping[str, int] = {
        "tests": len(suite),
        "failures": sum(case.find("failure") is not None for case in suite),
        "errors": sum(case.find("error") is not None for case in suite),
        "skipped": sum(case.find("skipped") is not None for case in suite),
    }
    totals = {**{key: str(value) for key, value in counts.items()}, "time": f"{seconds:.3f}"}
    suite.attrib.update({"name": _SUITE, **totals, "timestamp": started.isoformat(timespec="seconds")})
    root = ET.Element("testsuites", {"name": _SUITE, **totals})
    root.append(suite)
    ET.indent(root)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{ET.tostring(root, encoding='unicode')}\n"


def _fit(text: str) -> str:
    """Without the characters that XML 1.0 can't hold in any form; they come out as their escapes."""
    return "".join(character if _allowed(ord(character)) else _escaped(character) for character in text)


def _allowed(code: int) -> bool:
    return code in (0x9, 0xA, 0xD) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
