"""A run that a test drives: the steps of a scenario as methods, and what is known so far."""

from __future__ import annotations

import fnmatch
import linecache
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from sim.errors import InvalidInput, SimError, StepFailed
from sim.pytest_plugin.failures import ExpectationsFailed, check_failed
from sim.pytest_plugin.given import Manifests, given_manifests, given_path

if TYPE_CHECKING:
    from sim.scenario.result import Result
    from sim.scenario.session import Session
    from sim.trace import Event, Trace

Done = TypeVar("Done")
_T = TypeVar("_T")

Span = Literal["started", "completed", "failed"]
Work = Coroutine[Any, Any, None]

#: pytest leaves the frames of this module out of tracebacks: they tell a test's author nothing.
__tracebackhide__ = True

#: Who did the steps, in the trace.
_BY = "test"


@dataclass(slots=True)
class Held:
    """What the two forms of a run share. `folder` is the test's; `final` is the result once the run is over."""

    session: Session
    folder: Path
    faults: bool
    final: Result | None = None


class DrivenRun(ABC, Generic[Done]):
    """An open run. Each step returns once it is done; in the asynchronous form, what it returns is awaited.

    A `plugin` is `namespace/name`; it may be left out where one WasmPlugin alone was applied in this run. Steps raise
    StepFailed for what can't be done and InvalidInput for what is no step, with a hint.
    """

    def __init__(self, held: Held) -> None:
        self._held = held

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.directory}{' (over)' if self._held.final is not None else ''}>"

    @abstractmethod
    def _do(self, work: Work) -> Done:
        """Carry it out."""

    @abstractmethod
    def _look(self, read: Callable[[], _T]) -> _T:
        """What `read` finds, where nobody changes it meanwhile."""

    # -- manifests --------------------------------------------------------------------------------------------

    def apply(self, manifests: Manifests) -> Done:
        """Put objects in force, as `kubectl apply` would: a file or a folder, YAML text, data, or a list of these.

        A relative path starts at the test's folder, and where there is nothing, at the scenario's.
        """
        return self._do(self._apply(manifests))

    def bump(self, plugin: str | None = None, *, tag: str | None = None, image: str | None = None) -> Done:
        """Give a plugin another image: a new tag in the same repository, or a whole new reference."""
        return self._do(self._on_plugin("bump", plugin, tag=tag, image=image))

    def edit(self, plugin: str | None = None, *, patch: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Done:
        """Change anything of a plugin: by a JSON merge patch (a mapping) or a JSON patch (a list of operations)."""
        return self._do(self._on_plugin("edit", plugin, patch=patch))

    def delete(self, plugin: str | None = None) -> Done:
        """Delete a plugin."""
        return self._do(self._on_plugin("delete", plugin))

    def push(
        self,
        plugin: str | None = None,
        tag: str | None = None,
        *,
        file: str | PathLike[str] | None = None,
        reference: str | None = None,
        format: str | None = None,
        **more: Any,
    ) -> Done:
        """Push an image to the run's registry: a bundled plugin with a tag, or a .wasm file as `reference`.

        `format` is docker, oci, artifact or guide; `more` are the other keys of an image in a scenario.
        """
        named = None if file is None else str(given_path(file, self._folders))
        return self._do(
            self._step("push", plugin=plugin, tag=tag, file=named, format=format, **{"as": reference}, **more)
        )

    # -- waiting ----------------------------------------------------------------------------------------------

    def wait_effective(self, plugin: str | None = None, *, within: str = "10s", gateway: str | None = None) -> Done:
        """Until the plugin's latest change answers a first request."""
        return self._do(self._on_plugin("wait", plugin, "effective", within=within, gateway=gateway))

    def wait_settled(self, plugin: str | None = None, *, within: str = "10s", gateway: str | None = None) -> Done:
        """Until the latest change alone answers, on every connection."""
        return self._do(self._on_plugin("wait", plugin, "settled", within=within, gateway=gateway))

    def wait_acked(self, plugin: str | None = None, *, within: str = "10s", gateway: str | None = None) -> Done:
        """Until Envoy has acknowledged the latest change."""
        return self._do(self._on_plugin("wait", plugin, "acked", within=within, gateway=gateway))

    def wait_nacked(self, plugin: str | None = None, *, within: str = "10s", gateway: str | None = None) -> Done:
        """Until Envoy, or the agent in its place, has refused the latest change."""
        return self._do(self._on_plugin("wait", plugin, "nacked", within=within, gateway=gateway))

    def wait_gone(self, plugin: str | None = None, *, within: str = "10s", gateway: str | None = None) -> Done:
        """Until the plugin answers no request any more."""
        return self._do(self._on_plugin("wait", plugin, "gone", within=within, gateway=gateway))

    def wait_ready(self, gateway: str = "gateway", *, within: str = "10s") -> Done:
        """Until a gateway's listener takes connections."""
        return self._do(self._step("wait", ready=gateway, within=within))

    def wait_event(
        self,
        name: str,
        *,
        plugin: str | None = None,
        image: str | None = None,
        span: Span | None = None,
        gateway: str | None = None,
        within: str = "10s",
    ) -> Done:
        """Until the trace has such an event since the latest change; `*` in the name stands for anything."""
        return self._do(self._wait_event(name, plugin=plugin, image=image, span=span, gateway=gateway, within=within))

    # -- looking ----------------------------------------------------------------------------------------------

    def request(
        self,
        path: str = "/",
        *,
        method: str = "GET",
        host: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: str = "",
        status: int | None = None,
        expect_headers: Mapping[str, str | None] | None = None,
        body_contains: str | None = None,
        within: str | None = None,
        timeout: str = "5s",
        gateway: str | None = None,
    ) -> Done:
        """Send one request through the gateway; the answer must have this status, these headers and this text.

        A header that must be absent is expected to be None. `within`: ask again until it is so, at most so long.
        """
        expect: dict[str, Any] = {
            "headers": dict(expect_headers or {}),
            "status": status,
            "body_contains": body_contains,
        }
        fields = {"host": host, "headers": dict(headers or {}), "within": within, "gateway": gateway}
        given = {key: value for key, value in expect.items() if value is not None}
        return self._do(
            self._step("request", path=path, method=method, body=body, timeout=timeout, expect=given, **fields)
        )

    def check(self, that: str) -> Done:
        """Hold an expectation (CEL, docs/expectations.md) against the result so far. Raises ExpectationsFailed."""
        caller = sys._getframe(1)
        return self._do(self._check(that, caller.f_code.co_filename, caller.f_lineno))

    # -- trouble ----------------------------------------------------------------------------------------------

    def fault(self, on: str, **fields: Any) -> Done:
        """Make something go wrong until it is cleared: `fault("agent-registry", latency={"latency": "200ms"})`.

        The keys are those of a scenario's step fault (docs/faults.md). On a link of which the scenario has no fault it
        needs `ecdsim(…, faults=True)`, which puts a proxy on every link.
        """
        return self._do(self._fault({"on": on, **fields}))

    def clear(self, name: str = "all") -> Done:
        """End a fault, or all of them."""
        return self._do(self._step("clear", name=name))

    # -- parts and traffic ------------------------------------------------------------------------------------

    def restart(self, part: str) -> Done:
        """End a part in good order and start it again: core, discovery, registry, agent, envoy, agent/<gateway>, …."""
        return self._do(self._step("restart", part=part))

    def kill(self, part: str) -> Done:
        """End a part as a crash would; it stays down until it is restarted."""
        return self._do(self._step("kill", part=part))

    def pause(self, part: str = "envoy", *, duration: str = "1s") -> Done:
        """Stop an Envoy where it is, for so long."""
        return self._do(self._step("pause", part=part, **{"for": duration}))

    def advance(self, by: str, *, gateway: str | None = None) -> Done:
        """Let the agent's clock jump ahead."""
        return self._do(self._step("advance", by=by, gateway=gateway))

    def load(self, traffic: str, rate: str) -> Done:
        """Send more or fewer requests from now on: `load("users", "500/s")`."""
        return self._do(self._step("load", traffic=traffic, rate=rate))

    def step(self, step: Mapping[str, Any]) -> Done:
        """Any step, as a scenario has it: `step({"repeat": {"times": 3, "steps": […]}})`."""
        return self._do(self._carry_out(step))

    # -- what is known ----------------------------------------------------------------------------------------

    @property
    def result(self) -> Result:
        """The result so far, without expectations, gateways as of the latest check; the whole one when it is over."""
        return self._held.final or self._look(self._held.session.result_now)

    @property
    def trace(self) -> Trace:
        """Everything that happened."""
        return self._held.session.trace

    def events(self, name: str | None = None, *, span: Span | None = None) -> list[Event]:
        """The trace's events so far; those of this name, in which `*` stands for anything, and of this span."""
        return [
            event
            for event in list(self.trace.events)
            if (name is None or fnmatch.fnmatchcase(event.event, name)) and span in (None, event.span)
        ]

    @property
    def directory(self) -> Path:
        """The run directory: trace.jsonl, envoy.log, and, once the run is over, result.json."""
        return self._held.session.run.directory

    @property
    def gateway_url(self) -> str:
        """Where the gateway is, the first one of several: `http://127.0.0.1:40001`."""
        return next(iter(self.gateway_urls.values()))

    @property
    def gateway_urls(self) -> dict[str, str]:
        """Where each gateway is, by its name; the only one is `gateway`."""
        gateways = self._held.session.stage.pipeline.gateways
        return {each.name or "gateway": f"http://{each.host}:{each.port}" for each in gateways}

    @property
    def registry(self) -> str:
        """The address of the registry, `host:port`, to push to by other means."""
        return self._held.session.stage.pipeline.registry.address

    # -- how --------------------------------------------------------------------------------------------------

    async def _carry_out(self, step: Mapping[str, Any]) -> None:
        await self._open().carry_out(step, _BY)

    async def _step(self, kind: str, **fields: Any) -> None:
        await self._carry_out({kind: {key: value for key, value in fields.items() if value is not None}})

    async def _on_plugin(self, kind: str, plugin: str | None, key: str = "plugin", **fields: Any) -> None:
        await self._step(kind, **{key: self._plugin(plugin)}, **fields)

    async def _apply(self, manifests: Manifests) -> None:
        await self._open().apply(given_manifests(manifests, self._folders, _BY), _BY)

    async def _wait_event(self, name: str, **fields: Any) -> None:
        from sim.scenario.event_values import unknown_event

        unknown = unknown_event(name)
        if unknown is not None:
            raise InvalidInput(unknown[0], hint=unknown[1])
        await self._step("wait", event=name, **fields)

    async def _check(self, that: str, file: str, line: int) -> None:
        checked = self._open().run.checked
        before = len(checked)
        try:
            await self._step("check", that=that)
        except StepFailed:
            if len(checked) == before:
                raise
        seen = next(each for each in checked[before:] if each.that == that)
        seen.where, seen.line = f"{file}:{line}", linecache.getline(file, line).strip() or None
        if not seen.passed:
            raise check_failed(seen)

    async def _fault(self, fields: Mapping[str, Any]) -> None:
        try:
            await self._step("fault", **fields)
        except StepFailed as error:
            if not self._held.faults and "link" in error.message:
                error.hint = "open the run with faults=True, which puts a proxy on every link"
            raise

    def _open(self) -> Session:
        if self._held.final is not None:
            raise InvalidInput("the run is over", hint="do this inside the with block that opened it")
        return self._held.session

    def _plugin(self, named: str | None) -> str:
        if named is not None:
            return named
        applied = dict.fromkeys(event.plugin for event in self._open().trace.events if event.event == "core.apply")
        known = [plugin for plugin in applied if plugin is not None]
        if len(known) != 1:
            hint = f"name one of {', '.join(known)}" if known else "apply one first"
            raise InvalidInput(f"{len(known) or 'no'} WasmPlugins were applied, so which one is meant?", hint=hint)
        return known[0]

    @property
    def _folders(self) -> tuple[Path, ...]:
        return self._held.folder, self._held.session.loaded.folder


class LiveRun(DrivenRun[Work]):
    """An open run, in a test that is a coroutine: `await run.bump(tag="2.0.0")`."""

    def _do(self, work: Work) -> Work:
        return told_plainly(work)

    def _look(self, read: Callable[[], _T]) -> _T:
        return read()


async def told_plainly(work: Work) -> None:
    """Do it. What can't be done is raised without our own frames, which tell a test's author nothing."""
    try:
        await work
    except (SimError, ExpectationsFailed) as error:
        raise error.with_traceback(None) from None
