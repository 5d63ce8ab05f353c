"""Expectations: CEL over `result.json` and the trace, and the rules by which traffic tells versions apart.

The fields of the result are names: `rollouts[1].effective_ms < 1000`. The trace is there as the function `events`,
which `event_values.py` explains: `events("registry.request").filter(e, e.data.status == 503).size() == 2`.
"""

from __future__ import annotations

import json
import linecache
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from sim.errors import InvalidInput, Location
from sim.scenario.result import Expectation, Result, matched_events
from sim.trace import Event

_WORDS = {"and": "&&", "or": "||", "not": "!", "=": "==", "is": "==", "None": "null", "True": "true", "False": "false"}

#: The statuses of the responses that a `version_by` rule is tried on.
_TRIED = (200, 302, 403, 404, 500, 503)

#: Fields of the result that are only known once the expectations are.
_LATER = ("outcome", "expectations", "thresholds", "directory")


class Response(BaseModel):
    """What a `version_by` rule looks at."""

    status: int
    headers: dict[str, str]
    body: str


class VersionContext(BaseModel):
    """The names that a `version_by` rule knows."""

    response: Response


@dataclass(frozen=True, slots=True)
class CompiledExpectation:
    """An expression that was found to be CEL over the fields of `result.json` and the trace's events."""

    that: str
    where: Location
    #: The text of the line at `where`, None where there is no such file.
    line: str | None
    _tree: Any = field(repr=False, compare=False)

    def evaluate(self, context: Mapping[str, Any], events: Sequence[Event] = ()) -> Expectation:
        """Hold the expression against `Result.to_json()` and the whole trace so far; never raises.

        `actual` has the value of every path that the expression names and that there is; one into each item of a list
        for the macros: `rollouts.all(r, r.acked)` tells `rollouts[0].acked`, `rollouts[1].acked`. Of events it tells
        how many there are, and the first few. What can't be evaluated, or is neither true nor false, has not passed,
        and `error` says why. What has not passed comes with the events of what it names.
        """
        from sim.scenario import cel
        from sim.scenario.event_values import FUNCTION, cel_function, lookup_in
        from sim.scenario.evidence import Timeline, moments_around
        from sim.scenario.path_values import seen_by

        variables = {name: cel.to_cel(value) for name, value in context.items()}
        look_up, timeline = lookup_in(events), Timeline(events)
        passed, error = False, None
        try:
            value = cel.evaluate(self._tree, self.that, variables, {FUNCTION: cel_function(look_up)})
        except cel.Untrue as problem:
            error = str(problem.args[0])
        else:
            if cel.kind_of(value) == "boolean":
                passed = bool(value)
            else:
                error = f"it gives {cel.article(value)}, neither true nor false; compare it with something"
        with cel.deep_recursion():
            seen = seen_by(
                self._tree,
                self.that,
                context,
                variables,
                look_up,
                lambda event: timeline.moment(event.origin).line(),
                failed=not passed,
            )
        asked = [event.origin for event in seen.events]
        return Expectation(
            that=self.that,
            passed=passed,
            actual=seen.values,
            where=f"{self.where.file}:{self.where.line}" if self.where.line is not None else self.where.file,
            line=self.line,
            error=error,
            trace=[] if passed else moments_around(seen.decisive, asked, context, events),
        )


def compile_expectation(
    text: str,
    where: Location,
    *,
    traffic: tuple[str, ...] | None = None,
    gateways: tuple[str, ...] | None = None,
    combined: bool = True,
) -> CompiledExpectation:
    """Read an expectation. `traffic` and `gateways` are the names that the scenario has; None: any may be used.
    `combined`: it is a combination of a matrix, or may be.

    Raises InvalidInput, at `where`, for what is not CEL, for a name or function that does not exist, for an event
    that none of our parts emits, and for what is never true or false.
    """
    tree = _compiled(text, where, Result, traffic, gateways=gateways, combined=combined)
    return CompiledExpectation(text, where, _line(where), tree)


def in_words(seen: Expectation) -> str:
    """Why an expectation has not passed, in one line: the error, or the values that it saw."""
    if seen.error is not None:
        return seen.error
    values = []
    for path, value in seen.actual.items():
        matched = matched_events(value)
        told = f"{matched[0]} matched" if matched is not None else json.dumps(value, ensure_ascii=False)
        values.append(f"{path} = {told}")
    return ", ".join(values) or "it names no value"


def _line(where: Location) -> str | None:
    if where.line is None:
        return None
    linecache.checkcache(where.file)
    return linecache.getline(where.file, where.line).strip() or None


def check_version_rule(rule: str, where: Location) -> None:
    """Raises InvalidInput, at `where`, for a `version_by` rule that is not CEL over `response`, or gives no version.

    It is tried on bare responses, so what it gives of others shows in a run only.
    """
    _compiled(rule, where, VersionContext, None)
    try:
        for status in _TRIED:
            evaluate_version(rule, status, {}, "")
    except InvalidInput as error:
        raise InvalidInput(error.message, where=where, hint=error.hint) from error


def evaluate_version(rule: str, status: int, headers: Mapping[str, str], body: str | bytes) -> str | None:
    """The version that a response is by, according to a `version_by` rule; None for no plugin's.

    A header that is not there is null; a rule that stumbles over that tells nothing, so the version is None too.
    Raises InvalidInput for a rule that gives anything but a string or null.
    """
    from sim.scenario import cel

    response = {
        "status": status,
        "headers": cel.Nullable({name.lower(): value for name, value in headers.items()}),
        "body": body.decode(errors="replace") if isinstance(body, bytes) else body,
    }
    try:
        value = cel.evaluate(_version_tree(rule), rule, {"response": cel.to_cel(response)})
    except cel.Untrue:
        return None
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    raise InvalidInput(
        f"version_by gives {cel.article(value)} ({cel.show(value)}), not a version: {rule}",
        hint='let it give a string or null, for instance response.headers["x-request-block-version"]',
    )


@lru_cache(maxsize=64)
def _version_tree(rule: str) -> Any:
    return _compiled(rule, Location("version_by"), VersionContext, None)


def _compiled(
    text: str,
    where: Location,
    names: type[BaseModel],
    traffic: tuple[str, ...] | None,
    *,
    gateways: tuple[str, ...] | None = None,
    combined: bool = True,
) -> Any:
    from sim.scenario import cel
    from sim.scenario.paths import unknown_names

    try:
        tree = cel.parse(text)
        with cel.deep_recursion():
            over_result = names is Result
            without = _LATER if over_result else ()
            unknown = unknown_names(
                tree, text, names, traffic, without, trace=over_result, gateways=gateways, combined=combined
            )
    except cel.SyntaxProblem as problem:
        if problem.column is None:
            message = f"this is not CEL: {problem.found or 'it breaks off at its end'}"
        else:
            message = f"this is not CEL: unexpected {problem.found!r} at character {problem.column}"
        raise InvalidInput(f"{message}: {text}", where=where, hint=_syntax_hint(text, problem.found)) from problem
    for message, hint in unknown:
        raise InvalidInput(message, where=where, hint=hint)
    return tree


def _syntax_hint(text: str, found: str) -> str:
    if found in _WORDS:
        return f"CEL writes {_WORDS[found]} for {found}"
    if not found and text.count("(") > text.count(")"):
        return "a ) is missing"
    if "-" in found or (found and "-" in text and "traffic." in text):
        return "a name in a path has letters, digits and '_' only; for others write path[\"the-name\"]"
    return "write it like traffic.users.failed == 0 or rollouts[1].effective_ms < 1000"
