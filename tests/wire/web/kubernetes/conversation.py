"""Plays the requests of requests.yaml to a Kubernetes API, and reads its answers so that two runs can be compared.

`python -m tests.wire.web.kubernetes.conversation URL TOKEN > answers.json` records them from a real kube-apiserver:
one of 1.33 with the CustomResourceDefinitions of Higress and of Istio 1.27 (wasmplugins.extensions.istio.io), the
namespaces higress-system and istio-system, and nothing else in it.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from ruamel.yaml import YAML

Answer = dict[str, Any]

_HERE = Path(__file__).parent
_WASM = "/apis/extensions.{}.io/v1alpha1/namespaces/{}-system/wasmplugins"
_PATHS = {
    "plugins": _WASM.format("higress", "higress"),
    "istio": _WASM.format("istio", "istio"),
    "ingresses": "/apis/networking.k8s.io/v1/namespaces/default/ingresses",
    "services": "/api/v1/namespaces/default/services",
    "secrets": "/api/v1/namespaces/higress-system/secrets",
}
_GIVEN = {"rv": "resourceVersion", "uid": "uid", "continue": "continue"}
_MOVING = frozenset(
    {
        "continue",
        "creationTimestamp",
        "deletionTimestamp",
        "resourceVersion",
        "serverAddress",
        "storageVersionHash",
        "time",
        "uid",
    }
)
#: What a Service gets of its cluster's network, of which there is none here.
_ADDRESSES = frozenset({"clusterIPs", "ipFamilies", "ipFamilyPolicy"})
_IN_TEXT = {
    r'(?<=managedFields\\":)\[.*?\](?=,\\"name)': "<managedFields>",
    r"^made-[a-z0-9]{5}$": "<generated>",
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}": "<uid>",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ": "<time>",
    r"(?<=ResourceVersion in record \()\d+": "<resourceVersion>",
    r'(?<=resourceVersion\\":\\")\d+': "<resourceVersion>",
}


@dataclass(frozen=True, slots=True)
class Request:
    """One entry of requests.yaml."""

    name: str
    method: str
    path: str
    body: Any
    content_type: str
    accept: str


def requests() -> list[Request]:
    entries = YAML(typ="safe").load((_HERE / "requests.yaml").read_text(encoding="utf-8"))
    found = []
    for entry in entries:
        method, _, path = entry["request"].partition(" ")
        for name, whole in _PATHS.items():
            path = path.replace(f"{{{name}}}", whole)
        json_type = "application/json"
        found.append(
            Request(
                entry["name"],
                method,
                path,
                entry.get("body"),
                entry.get("as", json_type),
                entry.get("accept", json_type),
            )
        )
    return found


def recorded() -> dict[str, Answer]:
    """What the real API answered, by the request's name."""
    answers: dict[str, Answer] = json.loads((_HERE / "answers.json").read_text(encoding="utf-8"))
    return answers


async def answers(session: aiohttp.ClientSession, url: str) -> dict[str, Answer]:
    """What the API at `url` says to each request, by its name; what differs at each run is covered."""
    given: dict[str, Any] = {}
    said: dict[str, Answer] = {}
    for asked in requests():
        body = asked.body if isinstance(asked.body, str) else json.dumps(asked.body)
        headers = {"Accept": asked.accept}
        if asked.body is not None:
            headers["Content-Type"] = asked.content_type
        data = None if asked.body is None else _filled(body, given)
        path = _filled(asked.path, given)
        async with session.request(asked.method, url + path, data=data, headers=headers) as response:
            content = _content(await response.text(), response.content_type, is_watch="watch=" in path)
            given[asked.name] = content
            said[asked.name] = {"status": response.status, "body": covered(content)}
            if warnings := response.headers.getall("Warning", []):
                said[asked.name]["warnings"] = warnings
    return said


def covered(value: Any) -> Any:
    """`value` without what differs at each run, what has no order in order, without addresses and column texts."""
    if isinstance(value, dict):
        shown: dict[str, Any] = {}
        for key, inner in value.items():
            if key in _MOVING and isinstance(inner, str) and inner:
                shown[key] = f"<{key}>"
            elif key in _ADDRESSES or (key == "description" and "priority" in value):
                continue
            elif key == "cells":
                shown[key] = [_covered_cell(cell) for cell in inner]
            elif key in ("causes", "managedFields"):
                shown[key] = sorted(covered(inner), key=_order)
            else:
                shown[key] = covered(inner)
        return shown
    if isinstance(value, list):
        return [covered(inner) for inner in value]
    if isinstance(value, str):
        for pattern, cover in _IN_TEXT.items():
            value = re.sub(pattern, cover, value)
        if match := re.fullmatch(r"(.* is invalid: )\[(.*)\]", value):
            # Several mistakes come in any order.
            value = f"{match[1]}[{', '.join(sorted(re.split(r', (?=[a-z<][^ ]*: )', match[2])))}]"
    return value


def _covered_cell(cell: Any) -> Any:
    return "<age>" if isinstance(cell, str) and re.fullmatch(r"(\d+[smhdy])+", cell) else cell


def _order(entry: dict[str, Any]) -> str:
    return json.dumps([entry.get("operation"), entry.get("manager"), entry.get("field"), entry.get("message")])


def _filled(text: str, given: dict[str, Any]) -> str:
    def value(match: re.Match[str]) -> str:
        return str(given[match[2]]["metadata"][_GIVEN[match[1]]])

    return re.sub(r"\{(rv|uid|continue):([^}]*)\}", value, text)


def _content(text: str, content_type: str, *, is_watch: bool) -> Any:
    if content_type != "application/json":
        return text
    return [json.loads(line) for line in text.splitlines()] if is_watch else json.loads(text)


async def _record(url: str, token: str) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {token}", "User-Agent": "conversation"},
        connector=aiohttp.TCPConnector(ssl=context),
    ) as session:
        said = await answers(session, url)
    # A line for each request, so that a change of one answer is a change of one line.
    lines = [
        f"{json.dumps(name)}: {json.dumps(said[name], ensure_ascii=False, sort_keys=True)}" for name in sorted(said)
    ]
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    asyncio.run(_record(*sys.argv[1:]))
