"""A stock kubectl: apply, get, describe, edit, patch, delete, watch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sim.manifests import parse_manifests
from tests.wire.web.kubernetes.world import KEY, PLUGIN, World, kubectl_world

BUMPED = PLUGIN.replace("my-plugin:1.0.0", "my-plugin:2.0.0")


def _file(folder: Path, text: str) -> str:
    path = folder / "wasmplugin.yaml"
    path.write_text(text)
    return str(path)


def _texts(folder: Path, pattern: str) -> list[str]:
    return [path.read_text() for path in folder.glob(pattern)]


async def _applied(world: World, text: str = PLUGIN) -> None:
    (await world.kubectl("apply", "-f", "-", stdin=text)).ok()


async def test_the_guides_plugin_is_applied_read_edited_and_deleted(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        kubectl = world.kubectl
        name = "wasmplugin.extensions.higress.io/my-plugin"
        file = _file(tmp_path, PLUGIN)
        assert (await kubectl("apply", "-f", file)).ok() == f"{name} created\n"
        assert (await kubectl("apply", "-f", file)).ok() == f"{name} unchanged\n"
        assert (await kubectl("apply", "-f", _file(tmp_path, BUMPED))).ok() == f"{name} configured\n"
        assert world.spec()["url"] == "oci://registry.example/plugins/my-plugin:2.0.0"
        edited = await kubectl("edit", "wasmplugin", "my-plugin", editor="s/priority: 100/priority: 7/")
        assert edited.ok() == f"{name} edited\n"
        assert world.spec()["priority"] == 7
        read = json.loads((await kubectl("get", "wasmplugin", "my-plugin", "-o", "json")).ok())
        assert read["spec"] == world.spec()
        deleted = (await kubectl("delete", "-f", file)).ok()
        assert deleted.startswith('wasmplugin.extensions.higress.io "my-plugin" deleted')
        assert world.store.get(KEY) is None


async def test_what_get_prints(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        kubectl = world.kubectl
        nothing = await kubectl("get", "wasmplugins")
        assert (nothing.ok(), nothing.err) == ("", "No resources found in higress-system namespace.\n")
        await _applied(world)
        table = (await kubectl("get", "wasmplugin")).ok().splitlines()
        assert [line.split()[0] for line in table] == ["NAME", "my-plugin"]
        assert table[0].split() == ["NAME", "AGE"]
        everywhere = (await kubectl("get", "wasmplugins", "-A")).ok().splitlines()
        assert everywhere[1].split()[:2] == ["higress-system", "my-plugin"]
        one = (await kubectl("get", "wasmplugin/my-plugin", "-o", "jsonpath={.spec.priority}")).ok()
        assert one == "100"
        missing = await kubectl("get", "wasmplugin", "nope")
        assert missing.refused() == (
            'Error from server (NotFound): wasmplugins.extensions.higress.io "nope" not found\n'
        )
        other_group = await kubectl("get", "wasmplugins.extensions.istio.io", "-n", "istio-system")
        assert other_group.err == "No resources found in istio-system namespace.\n"


async def test_yaml_that_was_read_can_be_applied_as_it_is(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        await _applied(world)
        text = (await world.kubectl("get", "wasmplugin", "my-plugin", "-o", "yaml")).ok()
        assert parse_manifests(text, "kubectl")[0].spec == world.spec()
        again = await world.kubectl("replace", "-f", "-", stdin=text)
        assert again.ok() == "wasmplugin.extensions.higress.io/my-plugin replaced\n"


async def test_describe_prints_the_spec_and_that_there_are_no_events(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        await _applied(world)
        lines = (await world.kubectl("describe", "wasmplugin", "my-plugin")).ok().splitlines()
        assert [line.split() for line in lines if line.startswith(("Name:", "Namespace:", "Kind:", "Events:"))] == [
            ["Name:", "my-plugin"], ["Namespace:", "higress-system"], ["Kind:", "WasmPlugin"], ["Events:", "<none>"],
        ]  # fmt: skip
        spec = [line.split() for line in lines[lines.index("Spec:") + 1 :]]
        assert ["Mock", "Enable:", "false"] in spec
        assert ["url:", "oci://registry.example/plugins/my-plugin:1.0.0"] in [
            [line[0].lower(), *line[1:]] for line in spec
        ]


async def test_an_edit_that_changes_nothing_is_cancelled(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        await _applied(world)
        ran = await world.kubectl("edit", "wasmplugin", "my-plugin", editor="s/nothing/nothing/")
        assert "Edit cancelled, no changes made." in ran.out + ran.err
        stored = world.store.get(KEY)
        assert stored is not None
        assert stored.resource_version == "1"


async def test_an_edit_that_makes_it_invalid_is_refused_in_the_servers_words(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        await _applied(world)
        ran = await world.kubectl("edit", "wasmplugin", "my-plugin", editor="s/UNSPECIFIED_PHASE/FOO/")
        assert 'wasmplugins.extensions.higress.io "my-plugin" is invalid' in ran.refused()
        complaint = '# * spec.phase: Unsupported value: "FOO": supported values: '
        assert any(complaint in text for text in _texts(tmp_path, "kubectl*-edit-*.yaml"))
        assert world.spec()["phase"] == "UNSPECIFIED_PHASE"


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("merge", '{"spec": {"priority": 5, "phase": null}}'),
        ("json", '[{"op": "replace", "path": "/spec/priority", "value": 5}, {"op": "remove", "path": "/spec/phase"}]'),
    ],
)
async def test_a_patch(tmp_path: Path, kind: str, patch: str) -> None:
    async with kubectl_world(tmp_path) as world:
        await _applied(world)
        patched = await world.kubectl("patch", "wasmplugin", "my-plugin", f"--type={kind}", "-p", patch)
        assert patched.ok() == "wasmplugin.extensions.higress.io/my-plugin patched\n"
        assert (world.spec()["priority"], "phase" in world.spec()) == (5, False)
        again = await world.kubectl("patch", "wasmplugin", "my-plugin", "--type=merge", "-p", '{"spec":{"priority":5}}')
        assert again.ok() == "wasmplugin.extensions.higress.io/my-plugin patched (no change)\n"


async def test_a_strategic_patch_of_a_custom_resource_is_refused(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        await _applied(world)
        refused = (await world.kubectl("patch", "wasmplugin", "my-plugin", "-p", '{"spec": {"priority": 5}}')).refused()
        assert "the body of the request was in an unknown format - accepted media types include: " in refused
        assert world.spec()["priority"] == 100


async def test_labels_and_what_they_select(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        kubectl = world.kubectl
        await _applied(world)
        await _applied(world, PLUGIN.replace("name: my-plugin", "name: other"))
        (await kubectl("label", "wasmplugin", "my-plugin", "team=a")).ok()
        assert (await kubectl("get", "wasmplugin", "-l", "team=a", "-o", "name")).ok().split() == [
            "wasmplugin.extensions.higress.io/my-plugin"
        ]
        (await kubectl("delete", "wasmplugin", "-l", "team!=a")).ok()
        assert [found.key.name for found in world.store.list("WasmPlugin")] == ["my-plugin"]


async def test_watch_prints_what_happens_until_it_is_ended(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world, world.kubectl.lines(
        "get", "wasmplugin", "-w", "--output-watch-events"
    ) as lines:  # fmt: skip
        manifest = parse_manifests(PLUGIN, "test")[0]
        world.store.apply(manifest)
        assert (await anext(lines)).split()[:2] == ["EVENT", "NAME"]
        assert (await anext(lines)).split()[:2] == ["ADDED", "my-plugin"]
        world.store.apply(manifest.with_spec({**manifest.spec, "priority": 1}))
        assert (await anext(lines)).split()[:2] == ["MODIFIED", "my-plugin"]
        world.store.delete(KEY)
        assert (await anext(lines)).split()[:2] == ["DELETED", "my-plugin"]


async def test_a_watch_of_one_object_hears_of_no_other(tmp_path: Path) -> None:
    arguments = ("get", "wasmplugin", "--field-selector=metadata.name=my-plugin", "-w")
    async with kubectl_world(tmp_path) as world:
        manifest = parse_manifests(PLUGIN, "test")[0]
        world.store.apply(manifest)
        async with world.kubectl.lines(*arguments, "-o", "jsonpath={.spec.priority}{'\\n'}") as lines:
            assert await anext(lines) == "100"
            world.store.apply(parse_manifests(PLUGIN.replace("name: my-plugin", "name: other"), "test")[0])
            world.store.apply(manifest.with_spec({**manifest.spec, "priority": 1}))
            assert await anext(lines) == "1"
