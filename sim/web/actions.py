"""What a page may do: each request becomes a step of the session."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from aiohttp import web

from sim.errors import InvalidInput, SimError, StepFailed
from sim.manifests import HIGRESS_WASM, Manifest, parse_manifests, read_documents
from sim.scenario.problems import InvalidScenario
from sim.scenario.saved import saved_files, write_saved
from sim.scenario.session import Prepared, Session
from sim.web.script import Script

PAGE = "page"

_MOST_BYTES = 1_000_000


class Actions:
    """The handlers. `start` runs a task that may take as long as it likes; `changed` is called after each request."""

    def __init__(
        self,
        session: Session,
        script: Script,
        start: Callable[[Coroutine[Any, Any, None]], None],
        changed: Callable[[], None],
    ) -> None:
        self._session = session
        self._script = script
        self._start = start
        self._changed = changed

    def routes(self) -> list[web.RouteDef]:
        posts = {
            "step": self._step,
            "apply": self._apply,
            "check": self._check,
            "config": self._config,
            "delete": self._delete,
            "enable": self._enable,
            "stops": self._stops,
            "scenario": self._scenario,
            "save": self._save,
        }
        return [
            *(web.post(f"/api/{name}", self._answered(handler)) for name, handler in posts.items()),
            web.get("/api/save", self._answered(self._show_saved)),
        ]

    def _answered(
        self, handler: Callable[[dict[str, Any]], Coroutine[Any, Any, dict[str, Any]]]
    ) -> Callable[[web.Request], Coroutine[Any, Any, web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            try:
                body = await _json_body(request) if request.method == "POST" else {}
                made = await handler(body)
            except (InvalidInput, StepFailed) as error:
                return web.json_response(_problem(error), status=400)
            except SimError as error:
                return web.json_response(_problem(error), status=500)
            self._changed()
            return web.json_response(made, status=202 if "deed" in made else 200)

        return answer

    async def _step(self, body: dict[str, Any]) -> dict[str, Any]:
        return self._go(self._session.prepare(body, PAGE))

    async def _apply(self, body: dict[str, Any]) -> dict[str, Any]:
        return self._go(self._session.prepare_apply(self._manifests(body), PAGE))

    async def _check(self, body: dict[str, Any]) -> dict[str, Any]:
        try:
            self._manifests(body)
        except InvalidInput as error:
            return {"problems": [_told(each) for each in _each(error)]}
        return {"problems": []}

    async def _config(self, body: dict[str, Any]) -> dict[str, Any]:
        """The plugin's default configuration, as YAML; empty takes it away."""
        plugin = _text(body, "plugin")
        documents = read_documents(_text(body, "yaml", empty=True), "config")
        data = documents[0].data if documents else None
        if len(documents) > 1 or not isinstance(data, dict | None):
            raise InvalidInput("a configuration is one mapping of keys to values", hint="such as block_urls: [/admin]")
        manifest = self._session.plugin(plugin)
        key = "defaultConfig" if manifest.api_version == HIGRESS_WASM else "pluginConfig"
        if data is None:
            if key not in manifest.spec:
                return {}
            operation: dict[str, Any] = {"op": "remove", "path": f"/spec/{key}"}
        else:
            operation = {"op": "add", "path": f"/spec/{key}", "value": data}
        return self._go(self._session.prepare({"edit": {"plugin": plugin, "patch": [operation]}}, PAGE))

    async def _delete(self, body: dict[str, Any]) -> dict[str, Any]:
        return self._go(self._session.prepare({"delete": _text(body, "plugin")}, PAGE))

    async def _enable(self, body: dict[str, Any]) -> dict[str, Any]:
        """As the switch of Higress Console does it."""
        patch = {"spec": {"defaultConfigDisable": not _flag(body, "enabled")}}
        return self._go(self._session.prepare({"edit": {"plugin": _text(body, "plugin"), "patch": patch}}, PAGE))

    async def _stops(self, body: dict[str, Any]) -> dict[str, Any]:
        stops = self._session.stage.pipeline.options.stops
        if stops is None:
            raise StepFailed("this run holds nothing")
        match body:
            case {"on": bool(on)}:
                await stops.switch(on=on)
            case {"step": True}:
                await stops.step_on()
            case {"finish": True}:
                await stops.finish()
            case _:
                raise InvalidInput('say {"on": true}, {"on": false}, {"step": true} or {"finish": true}')
        return {"next": stops.next}

    async def _scenario(self, body: dict[str, Any]) -> dict[str, Any]:
        match body:
            case {"next": True}:
                self._script.ask(1)
            case {"all": True}:
                self._script.ask(None)
            case _:
                raise InvalidInput('say {"next": true} or {"all": true}')
        return {}

    async def _show_saved(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"files": saved_files(self._session), "directory": None}

    async def _save(self, body: dict[str, Any]) -> dict[str, Any]:
        """Into a folder of its own below the one where `ecdsim up` was started."""
        files = saved_files(self._session)
        here = Path.cwd()
        folder = (here / _text(body, "directory")).resolve()
        if here not in folder.parents:
            raise InvalidInput(f"{folder} is not below {here}", hint="name a folder below the one you started it in")
        await asyncio.to_thread(write_saved, files, folder)
        return {"files": files, "directory": str(folder)}

    def _manifests(self, body: dict[str, Any]) -> list[Manifest]:
        found = parse_manifests(_text(body, "yaml", empty=True), "line")
        if not found:
            raise InvalidInput("there is no object in it", hint="write a WasmPlugin")
        return found

    def _go(self, prepared: Prepared) -> dict[str, Any]:
        number = len(self._session.deeds)
        self._start(performed(self._session, prepared))
        return {"deed": number}


async def performed(session: Session, prepared: Prepared) -> None:
    """Perform a step; how it went is in the session's deeds."""
    try:
        await session.perform(prepared)
    except SimError:
        # It is told with the deed.
        return


async def _json_body(request: web.Request) -> dict[str, Any]:
    if request.content_length is not None and request.content_length > _MOST_BYTES:
        raise InvalidInput("that is too long", hint="a manifest is some kilobytes")
    try:
        body = json.loads(await request.text())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise InvalidInput("the body is not a JSON object")
    return body


def _text(body: dict[str, Any], key: str, *, empty: bool = False) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not (value or empty):
        raise InvalidInput(f"{key} is missing, or is no text")
    return value


def _flag(body: dict[str, Any], key: str) -> bool:
    value = body.get(key)
    if not isinstance(value, bool):
        raise InvalidInput(f"{key} is missing, or is neither true nor false")
    return value


def _problem(error: SimError) -> dict[str, Any]:
    problems = [_told(each) for each in _each(error)]
    return {"error": problems[0], "problems": problems}


def _each(error: SimError) -> list[SimError]:
    return list(error.problems) if isinstance(error, InvalidScenario) else [error]


def _told(error: SimError) -> dict[str, Any]:
    where = getattr(error, "where", None)
    place = f"line {where.line}" if where is not None and where.line is not None else None
    key = where.key if where is not None else None
    return {"message": f"{key}: {error.message}" if key else error.message, "hint": error.hint, "where": place}
