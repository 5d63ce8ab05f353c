"""A stock kubectl: discovery, explain, diff, dry runs, server-side apply, and Kubernetes' own kinds."""

from __future__ import annotations

import json
from pathlib import Path

from sim.core import Key
from sim.manifests import parse_manifests
from tests.wire.web.kubernetes.world import KEY, PLUGIN, World, kubectl_world

ROUTE = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  ingressClassName: higress
  rules:
  - host: shop.example
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: shop, port: {number: 80}}}}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {ports: [{port: 80, name: http}, {port: 81, name: more}]}
---
apiVersion: v1
kind: Secret
metadata: {name: pull}
stringData: {user: me}
"""


def _with(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


async def _applied(world: World, text: str = PLUGIN) -> None:
    (await world.kubectl("apply", "-f", "-", stdin=text)).ok()


async def test_api_resources_lists_both_groups_of_wasm_plugins(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        names = (await world.kubectl("api-resources", "-o", "name")).ok().split()
        assert {
            "wasmplugins.extensions.higress.io",
            "wasmplugins.extensions.istio.io",
            "ingresses.networking.k8s.io",
            "services",
            "secrets",
            "namespaces",
        } <= set(names)
        versions = (await world.kubectl("api-versions")).ok().split()
        assert {"v1", "extensions.higress.io/v1alpha1", "networking.k8s.io/v1"} <= set(versions)
        short = (await world.kubectl("get", "ns", "-o", "name")).ok().split()
        assert short == [f"namespace/{name}" for name in ("default", "higress-system", "istio-system", "kube-system")]


async def test_explain_knows_the_fields(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        spec = (await world.kubectl("explain", "wasmplugin.spec")).ok()
        assert "defaultConfig" in spec
        assert "matchRules" in spec
        phase = (await world.kubectl("explain", "wasmplugin.spec.phase")).ok()
        assert "Which group of filters the plugin stands in." in phase
        assert "url" in (await world.kubectl("explain", "wasmplugin", "--recursive")).ok()
        assert "pathType" in (await world.kubectl("explain", "ingress.spec.rules.http.paths")).ok()


async def test_diff_shows_what_an_apply_would_change_and_changes_nothing(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        await _applied(world)
        same = await world.kubectl("diff", "-f", "-", stdin=PLUGIN)
        assert (same.status, same.out) == (0, "")
        differs = await world.kubectl("diff", "-f", "-", stdin=_with(PLUGIN, "priority: 100", "priority: 1"))
        assert differs.status == 1
        assert [line for line in differs.out.splitlines() if line.startswith(("-  p", "+  p"))] == [
            "-  priority: 100",
            "+  priority: 1",
        ]
        assert world.spec()["priority"] == 100


async def test_a_dry_run_on_the_server_checks_and_changes_nothing(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        dry = ("apply", "--dry-run=server", "-f", "-")
        created = await world.kubectl(*dry, stdin=PLUGIN)
        assert created.ok() == "wasmplugin.extensions.higress.io/my-plugin created (server dry run)\n"
        assert world.store.get(KEY) is None
        refused = await world.kubectl(*dry, stdin=_with(PLUGIN, "UNSPECIFIED_PHASE", "FOO"))
        assert 'Unsupported value: "FOO"' in refused.refused()
        await _applied(world)
        gone = await world.kubectl("delete", "wasmplugin", "my-plugin", "--dry-run=server")
        assert gone.ok().endswith("deleted (server dry run)\n") or "deleted (server dry run)" in gone.out
        assert world.store.get(KEY) is not None


async def test_server_side_apply_guards_the_fields_of_others(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        apply = ("apply", "--server-side", "-f", "-")
        assert (await world.kubectl(*apply, stdin=PLUGIN)).ok().endswith("serverside-applied\n")
        patch = '{"spec": {"priority": 1}}'
        (await world.kubectl("patch", "wasmplugin", "my-plugin", "--type=merge", "-p", patch)).ok()
        refused = (await world.kubectl(*apply, stdin=PLUGIN)).refused()
        assert "Apply failed with 1 conflict: conflict with " in refused
        assert ".spec.priority" in refused
        assert world.spec()["priority"] == 1
        (await world.kubectl(*apply, "--force-conflicts", stdin=PLUGIN)).ok()
        assert world.spec()["priority"] == 100
        less = "\n".join(line for line in PLUGIN.splitlines() if "priority" not in line)
        (await world.kubectl(*apply, stdin=less)).ok()
        assert "priority" not in world.spec()


async def test_a_client_side_apply_takes_away_what_is_no_longer_written(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        await _applied(world)
        world.store.apply(parse_manifests(_with(PLUGIN, "  phase:", "  sha256: abc\n  phase:"), "somebody else")[0])
        (await world.kubectl("apply", "-f", "-", stdin=PLUGIN)).ok()
        await _applied(world, _with(PLUGIN, "  priority: 100\n", ""))
        assert "priority" not in world.spec()


async def test_routes_services_and_secrets(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        kubectl = world.kubectl
        await _applied(world, ROUTE)
        again = (await kubectl("apply", "-f", "-", stdin=ROUTE)).ok()
        assert again.startswith("ingress.networking.k8s.io/shop unchanged\nservice/shop unchanged\n")
        rows = [
            line.split() for line in (await kubectl("get", "ingress,service,secret", "--no-headers")).ok().splitlines()
        ]
        assert [row[:-1] for row in rows if row] == [
            ["ingress.networking.k8s.io/shop", "higress", "shop.example", "80"],
            ["service/shop", "ClusterIP", "<none>", "<none>", "80/TCP,81/TCP"],
            ["secret/pull", "Opaque", "1"],
        ]
        described = (await kubectl("describe", "ingress", "shop")).ok()
        assert "shop.example" in described
        assert "shop:80" in described
        await _applied(world, _with(ROUTE, ", {port: 81, name: more}", "").replace("path: /,", "path: /new,"))
        service = world.store.get(Key("v1", "Service", "higress-system", "shop"))
        assert service is not None
        assert [port["port"] for port in service.spec["ports"]] == [80]
        ingress = world.store.get(Key("networking.k8s.io/v1", "Ingress", "higress-system", "shop"))
        assert ingress is not None
        assert ingress.spec["rules"][0]["http"]["paths"][0]["path"] == "/new"
        assert world.store.secret_value("higress-system", "pull", "user") == "me"
        (await kubectl("delete", "ingress,service,secret", "--all")).ok()
        assert world.store.list() == []


async def test_objects_that_kubectl_makes_by_itself(tmp_path: Path) -> None:
    """Newer ones send them as protobuf."""
    async with kubectl_world(tmp_path) as world:
        kubectl = world.kubectl
        (await kubectl("create", "ingress", "made", "--class=higress", "--rule=a.example/x*=web:80")).ok()
        ingress = world.store.get(Key("networking.k8s.io/v1", "Ingress", "higress-system", "made"))
        assert ingress is not None
        path = ingress.spec["rules"][0]["http"]["paths"][0]
        assert (path["path"], path["pathType"], path["backend"]["service"]["port"]) == ("/x", "Prefix", {"number": 80})
        docker = ("create", "secret", "docker-registry", "login", "--docker-server=r.example")
        (await kubectl(*docker, "--docker-username=u", "--docker-password=p")).ok()
        secret = world.store.secret_value("higress-system", "login", ".dockerconfigjson")
        assert json.loads(secret)["auths"]["r.example"]["username"] == "u"
        (await kubectl("create", "service", "clusterip", "web", "--tcp=80:8080")).ok()
        service = world.store.get(Key("v1", "Service", "higress-system", "web"))
        assert service is not None
        assert (service.spec["ports"][0]["port"], service.spec["ports"][0]["targetPort"]) == (80, 8080)
        assert (await kubectl("auth", "can-i", "create", "wasmplugins")).ok() == "yes\n"


async def test_a_namespace_takes_its_objects_with_it(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        kubectl = world.kubectl
        (await kubectl("create", "namespace", "team")).ok()
        await _applied(world, _with(PLUGIN, "namespace: higress-system", "namespace: team"))
        (await kubectl("delete", "namespace", "team")).ok()
        assert world.store.list() == []
        refused = (await kubectl("delete", "namespace", "higress-system")).refused()
        assert 'namespaces "higress-system" is forbidden: this namespace may not be deleted' in refused


async def test_what_others_change_is_seen_too(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        world.store.apply(parse_manifests(_with(PLUGIN, "higress-system", "from-a-file"), "a file")[0])
        assert "from-a-file" in (await world.kubectl("get", "namespaces")).ok()
        shown = json.loads(
            (await world.kubectl("get", "wasmplugin", "my-plugin", "-n", "from-a-file", "-o", "json")).ok()
        )
        assert shown["metadata"]["resourceVersion"] == "1"
        assert shown["spec"]["priority"] == 100


async def test_an_object_that_a_finalizer_holds_goes_when_it_lets_go(tmp_path: Path) -> None:
    async with kubectl_world(tmp_path) as world:
        held = _with(PLUGIN, "  name: my-plugin", "  name: my-plugin\n  finalizers: [example.com/hold]")
        await _applied(world, held)
        (await world.kubectl("delete", "wasmplugin", "my-plugin", "--wait=false")).ok()
        stored = world.store.get(KEY)
        assert stored is not None
        assert "deletionTimestamp" in stored.content["metadata"]
        patch = '{"metadata": {"finalizers": null}}'
        (await world.kubectl("patch", "wasmplugin", "my-plugin", "--type=merge", "-p", patch)).ok()
        assert world.store.get(KEY) is None
