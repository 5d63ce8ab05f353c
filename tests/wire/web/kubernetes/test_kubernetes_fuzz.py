"""Requests with something wrong in them are refused; none makes the server fail, or leaves what can't be read."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from sim.core import Store
from tests.wire.web.kubernetes.conversation import requests
from tests.wire.web.kubernetes.world import api_world

Path = tuple[str | int, ...]

_TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
_LISTS = (
    "/apis/extensions.higress.io/v1alpha1/wasmplugins",
    "/apis/extensions.istio.io/v1alpha1/wasmplugins",
    "/apis/networking.k8s.io/v1/ingresses",
    "/api/v1/services",
    "/api/v1/secrets",
    "/api/v1/namespaces",
)
_JUNK: list[Any] = [
    None, True, 0, -1, 1.5, 10**20, "", "x", "a/b", "\ud800", [], [None], [[]], ["x"], {}, {"a": None}, {"": ""},
    {"a": {"b": [{}]}}, {"$patch": "replace"}, {"$patch": "delete"}, [{"$patch": "delete", "port": 80}], {"port": None},
]  # fmt: skip
_KEYS = [
    "x", "metadata", "spec", "status", "finalizers", "managedFields", "ownerReferences", "resourceVersion", "uid",
    "labels", "annotations", "generateName", "deletionTimestamp", "stringData", "data", "ports", "rules", "$retainKeys",
    "$setElementOrder/ports", "$deleteFromPrimitiveList/finalizers",
]  # fmt: skip


def _paths(value: Any, at: Path = ()) -> Iterator[Path]:
    yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from _paths(inner, (*at, key))


def _spoilt(body: Any, chance: random.Random) -> Any:
    body = copy.deepcopy(body)
    for _ in range(chance.randint(1, 3)):
        path = chance.choice(list(_paths(body)))
        if not path:
            continue
        holder = body
        for step in path[:-1]:
            holder = holder[step]
        deed = chance.random()
        if deed < 0.2:
            del holder[path[-1]]
        elif deed < 0.85 or isinstance(holder, list):
            holder[path[-1]] = copy.deepcopy(chance.choice(_JUNK))
        else:
            holder[chance.choice(_KEYS)] = copy.deepcopy(chance.choice(_JUNK))
    return body


@pytest.mark.parametrize("seed", range(3))
async def test_no_request_makes_the_server_fail(seed: int) -> None:
    chance = random.Random(seed)
    asked = [request for request in requests() if isinstance(request.body, dict | list)]
    store = Store()
    async with api_world(store) as (_, session):
        for _ in range(400):
            request = chance.choice(asked)
            path = request.path.replace("dryRun=All", "") if chance.random() < 0.5 else request.path
            data = json.dumps(_spoilt(request.body, chance))
            headers = {"Content-Type": request.content_type, "Accept": request.accept}
            async with session.request(request.method, path, data=data, headers=headers) as answer:
                text = await answer.text()
                # The few answers with 500 that a real server gives too are a Status.
                assert answer.status < 500 or json.loads(text)["kind"] == "Status", (request.name, data, text)
        for path in _LISTS:
            async with session.get(path, headers=_TABLE) as answer:
                assert answer.status == 200
            async with session.get(path) as answer:
                found = (await answer.json())["items"]
                assert found == sorted(
                    found, key=lambda one: (one["metadata"].get("namespace"), one["metadata"]["name"])
                )
    assert store.list()
