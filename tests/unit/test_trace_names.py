"""The list of the trace's events, held against the sources of the parts that emit them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import sim
from sim.trace.events import FIELDS
from sim.trace.names import EVENTS
from sim.traffic.probe.connection import Ending
from sim.xds.subscription import Kind

SOURCES = Path(sim.__file__).parent
#: These hand on names that others give.
RELAYS = ("trace/trace.py",)
NOT_DATA = {*FIELDS, "t_ns", "span", "span_id", "payloads"}
#: What the parts of names that are made at run time may be, by how the source calls them.
MADE = {"reaction.kind": get_args(Kind), "kind": ("opened", *get_args(Ending))}


@dataclass(frozen=True)
class Emission:
    place: str
    names: tuple[str, ...]
    data: frozenset[str]


def emissions() -> Iterator[Emission]:
    for path in sorted(SOURCES.rglob("*.py")):
        file = path.relative_to(SOURCES).as_posix()
        if file.startswith("proto_gen/") or file in RELAYS:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        relays = {
            id(inner)
            for outer in ast.walk(tree)
            if isinstance(outer, ast.FunctionDef) and outer.name == "_emit"
            for inner in ast.walk(outer)
        }
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and _emits(call) and id(call) not in relays:
                data = frozenset(word.arg for word in call.keywords if word.arg is not None) - NOT_DATA
                yield Emission(f"{file}:{call.lineno}", tuple(_names(call.args[0])), data)


def _emits(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in ("emit", "_emit", "span") and bool(call.args)


def _names(argument: ast.expr) -> Iterator[str]:
    match argument:
        case ast.Constant(value=str(name)):
            yield name
        case ast.JoinedStr(values=[ast.Constant(value=str(before)), ast.FormattedValue(value=made)]):
            for word in MADE.get(ast.unparse(made), ()):
                yield before + word
        case ast.IfExp(body=body, orelse=orelse):
            yield from _names(body)
            yield from _names(orelse)


def test_every_event_that_the_sources_emit_is_listed() -> None:
    found = list(emissions())
    assert len(found) > 30
    nameless = [emission.place for emission in found if not emission.names]
    assert nameless == [], "write the name where the event is emitted, or add to MADE what it is made of"
    unlisted = [f"{each.place}: {name}" for each in found for name in each.names if name not in EVENTS]
    assert unlisted == [], "add them to sim/trace/names.py"


def test_every_event_that_is_listed_is_emitted_somewhere() -> None:
    emitted = {name for emission in emissions() for name in emission.names}
    assert EVENTS.keys() - emitted == set(), "remove them from sim/trace/names.py"


def test_the_fields_that_an_event_is_emitted_with_are_listed_with_it() -> None:
    unlisted = [
        f"{emission.place}: {name} {', '.join(sorted(missing))}"
        for emission in emissions()
        for name in emission.names
        if (own := EVENTS.get(name)) is not None and (missing := emission.data - {*own})
    ]
    assert unlisted == [], "add them to sim/trace/names.py"
