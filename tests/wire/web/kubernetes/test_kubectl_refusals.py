"""A stock kubectl is refused in the words that its users know."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sim.manifests import parse_manifests
from sim.web.kubernetes import write_kubeconfig
from tests.wire.web.kubernetes.world import KEY, PLUGIN, TOKEN, kubectl_world


async def test_an_unknown_field(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        refused = (await world.kubectl("apply", "-f", "-", stdin=PLUGIN.replace("url:", "urll:"))).refused()
        if await world.kubectl.is_new():
            assert 'strict decoding error: unknown field "spec.urll"' in refused
        else:
            assert (
                'error validating data: ValidationError(WasmPlugin.spec): unknown field "urll" '
                "in io.higress.extensions.v1alpha1.WasmPlugin.spec" in refused
            )
        assert world.store.list() == []


async def test_an_unknown_field_deep_inside(tmp_path: Path) -> None:
    text = PLUGIN + "  matchRules:\n  - domain: [a.example]\n    confg: {}\n"
    async with kubectl_world(tmp_path) as world:
        refused = (await world.kubectl("apply", "-f", "-", stdin=text)).refused()
        assert 'unknown field "spec.matchRules[0].confg"' in refused or 'unknown field "confg" in' in refused
        assert world.store.list() == []


async def test_the_free_parts_of_a_plugin_are_free(tmp_path: Path) -> None:
    text = PLUGIN + "    deep: {list: [1, 2.5, text, null, {a: true}], empty: {}}\n"
    async with kubectl_world(tmp_path) as world:
        (await world.kubectl("apply", "-f", "-", stdin=text)).ok()
        config = world.spec()["defaultConfig"]
        assert config == {
            "mockEnable": False,
            "content": "a greeting",
            "deep": {"list": [1, 2.5, "text", None, {"a": True}], "empty": {}},
        }


async def test_without_validation_an_unknown_field_is_dropped(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        text = PLUGIN + "  unheardOf: 1\n"
        (await world.kubectl("apply", "--validate=false", "-f", "-", stdin=text)).ok()
        assert "unheardOf" not in world.spec()


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (
            "priority: 100",
            "priority: high",
            'spec.priority: Invalid value: "string": spec.priority in body must be of type integer: "string"',
        ),
        (
            "phase: UNSPECIFIED_PHASE",
            "phase: FOO",
            'spec.phase: Unsupported value: "FOO": supported values: "UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"',
        ),
        (
            "name: my-plugin",
            "name: My_Plugin",
            'metadata.name: Invalid value: "My_Plugin": a lowercase RFC 1123 subdomain must consist of',
        ),
    ],
)
async def test_a_wrong_value(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    async with kubectl_world(tmp_path) as world:
        refused = (await world.kubectl("apply", "-f", "-", stdin=PLUGIN.replace(right, wrong))).refused()
        name = "My_Plugin" if "My_Plugin" in wrong else "my-plugin"
        assert f'The WasmPlugin "{name}" is invalid: {said}' in refused
        assert world.store.list() == []


async def test_a_wrong_type_that_kubectl_knows_of_itself(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        refused = (await world.kubectl("apply", "-f", "-", stdin=PLUGIN + "  matchRules: all\n")).refused()
        if await world.kubectl.is_new():
            assert 'spec.matchRules in body must be of type array: "string"' in refused
        else:
            assert "invalid type for io.higress.extensions.v1alpha1.WasmPlugin.spec.matchRules" in refused


async def test_a_namespace_that_is_not_there(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        text = PLUGIN.replace("higress-system", "higress-sytem")
        refused = (await world.kubectl("apply", "-f", "-", stdin=text)).refused()
        assert refused.endswith('namespaces "higress-sytem" not found\n')
        (await world.kubectl("create", "namespace", "higress-sytem")).ok()
        (await world.kubectl("apply", "-f", "-", stdin=text)).ok()


async def test_an_object_that_was_changed_in_the_meantime_is_not_replaced(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        world.store.apply(parse_manifests(PLUGIN, "test")[0])
        old = (await world.kubectl("get", "wasmplugin", "my-plugin", "-o", "yaml")).ok()
        patch = '{"spec": {"priority": 1}}'
        (await world.kubectl("patch", "wasmplugin", "my-plugin", "--type=merge", "-p", patch)).ok()
        refused = (await world.kubectl("replace", "-f", "-", stdin=old)).refused()
        assert (
            'Operation cannot be fulfilled on wasmplugins.extensions.higress.io "my-plugin": the object has been '
            "modified; please apply your changes to the latest version and try again" in refused
        )
        assert world.spec()["priority"] == 1
        (await world.kubectl("create", "-f", "-", stdin=PLUGIN)).refused().endswith("already exists\n")


async def test_of_two_that_change_one_object_at_once_none_overwrites_the_other(tmp_path: Path) -> None:
    """While a change is carried out, whoever wants the same object waits, and then sees what became of it."""
    gate = asyncio.Event()
    waiting = asyncio.Event()

    async with kubectl_world(tmp_path) as plain:
        store = plain.store

        async def change(what: object) -> None:
            waiting.set()
            await gate.wait()
            store.apply(what)  # type: ignore[arg-type]  # no deletion comes here

        async with kubectl_world(tmp_path, change, store) as world:
            store.apply(parse_manifests(PLUGIN, "test")[0])
            arguments = ("patch", "wasmplugin", "my-plugin", "--type=merge", "-p")
            async with asyncio.TaskGroup() as group:
                first = group.create_task(world.kubectl(*arguments, '{"spec": {"priority": 1}}'))
                await waiting.wait()
                second = group.create_task(world.kubectl(*arguments, '{"spec": {"sha256": "abc"}}'))
                gate.set()
            first.result().ok()
            second.result().ok()
            assert (world.spec()["priority"], world.spec()["sha256"]) == (1, "abc")


async def test_without_the_right_token_nothing_works(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        write_kubeconfig(
            world.kubectl.kubeconfig,
            world.api.url,
            f"not-{TOKEN}",
            certificate_authority=world.api.certificate_authority,
        )
        refused = (await world.kubectl("get", "wasmplugins")).refused()
        assert "You must be logged in to the server" in refused
        assert world.store.get(KEY) is None
