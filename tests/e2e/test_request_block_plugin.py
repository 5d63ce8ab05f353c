"""The bundled request-block in a real Envoy, as a static filter from a local file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sim.wasm import bundled, stamp
from tests.needs import needed_envoy

pytestmark = pytest.mark.e2e

VERSION = "2.0.0-e2e"
HEADER = bundled("request-block").version_header
READY = "starting main dispatch loop"
TYPES = "type.googleapis.com/envoy.extensions.filters"


def bootstrap(module: Path, configurations: list[Any]) -> dict[str, Any]:
    """One listener, one request-block filter per configuration, and two routes that Envoy answers itself."""
    filters: list[dict[str, Any]] = [
        {
            "name": f"request-block-{index}",
            "typed_config": {
                "@type": f"{TYPES}.http.wasm.v3.Wasm",
                "config": {
                    "name": f"request-block-{index}",
                    "configuration": {
                        "@type": "type.googleapis.com/google.protobuf.StringValue",
                        "value": text if isinstance(text, str) else json.dumps(text),
                    },
                    "vm_config": {
                        "runtime": "envoy.wasm.runtime.v8",
                        "code": {"local": {"filename": str(module)}},
                    },
                },
            },
        }
        for index, text in enumerate(configurations)
    ]
    routes = [
        {"name": "to-service", "match": {"prefix": "/service"}, "route": {"cluster": "outbound|80||a.dns"}},
        {"name": "direct", "match": {"prefix": "/"}, "direct_response": {"status": 200}},
    ]
    manager = {
        "@type": f"{TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            *filters,
            {"name": "router", "typed_config": {"@type": f"{TYPES}.http.router.v3.Router"}},
        ],
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    chain = {
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
    }
    return {
        "admin": {"address": address},
        "static_resources": {
            "listeners": [{"name": "gateway", "address": address, "filter_chains": [chain]}],
            "clusters": [{"name": "outbound|80||a.dns", "type": "STATIC"}],
        },
    }


@dataclass
class Envoy:
    session: aiohttp.ClientSession
    log: list[str] = field(default_factory=list)
    port: int = 0

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, list[str], str]:
        """Status, every value of the version header, body."""
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.session.get(url, headers=headers) as response:
            return response.status, response.headers.getall(HEADER, []), await response.text()

    async def status(self, path: str, **headers: str) -> int:
        return (await self.get(path, headers))[0]

    def logged(self, text: str) -> bool:
        return any(text in line for line in self.log)


@asynccontextmanager
async def started(folder: Path, *configurations: Any) -> AsyncIterator[Envoy]:
    """An Envoy that has loaded the plugin; RuntimeError with its log where it refuses to start."""
    module = folder / "request-block.wasm"
    module.write_bytes(stamp(bundled("request-block").module, VERSION))
    (folder / "bootstrap.json").write_text(json.dumps(bootstrap(module, list(configurations))))
    admin_file = folder / "admin-address"
    process = await asyncio.create_subprocess_exec(
        *(
            str(needed_envoy("THE PLUGIN IS NOT TRIED IN ONE")),
            "--config-path",
            str(folder / "bootstrap.json"),
            "--log-level",
            "info",
        ),
        *("--concurrency", "1", "--disable-hot-restart", "--admin-address-path", str(admin_file)),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async with aiohttp.ClientSession() as session:
        envoy = Envoy(session)
        draining: asyncio.Task[None] | None = None
        try:
            while not envoy.logged(READY):
                line = await process.stderr.readline()
                if not line:
                    raise RuntimeError("Envoy refused to start:\n" + "".join(envoy.log))
                envoy.log.append(line.decode())
            draining = asyncio.create_task(drain(process.stderr, envoy.log))
            admin = admin_file.read_text()
            async with session.get(f"http://{admin}/listeners?format=json") as response:
                listeners = (await response.json(content_type=None))["listener_statuses"]
            envoy.port = listeners[0]["local_address"]["socket_address"]["port_value"]
            yield envoy
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            if draining is not None:
                await draining


async def drain(stream: asyncio.StreamReader, log: list[str]) -> None:
    async for line in stream:
        log.append(line.decode())


async def test_a_blocked_url_is_refused_and_every_response_names_the_stamped_version(tmp_path: Path) -> None:
    async with started(tmp_path, {"block_urls": ["swagger.html"]}) as envoy:
        assert await envoy.get("/api/user/swagger.html") == (403, [VERSION], "")
        assert await envoy.get("/api/user/swagger.html?x=1") == (403, [VERSION], "")
        assert await envoy.get("/api/user") == (200, [VERSION], "")
        # Higress' code, unlike its documentation, ignores letter case unless told otherwise.
        assert await envoy.status("/api/user/Swagger.html") == 403


async def test_letter_case_counts_where_the_configuration_says_so(tmp_path: Path) -> None:
    async with started(tmp_path, {"block_urls": ["swagger.html"], "case_sensitive": True}) as envoy:
        assert await envoy.status("/api/user/swagger.html") == 403
        assert await envoy.status("/api/user/Swagger.html") == 200


async def test_the_refusal_has_the_configured_code_and_message_and_letter_case_can_be_ignored(
    tmp_path: Path,
) -> None:
    configuration = {
        "block_urls": ["Swagger", "foo=BAR"],
        "block_exact_urls": ["/Exactly?a=1"],
        "block_headers": ["Bad-Robot"],
        "case_sensitive": False,
        "blocked_code": 451,
        "blocked_message": "不行",
    }
    async with started(tmp_path, configuration) as envoy:
        assert await envoy.get("/SWAGGER") == (451, [VERSION], "不行")
        assert await envoy.status("/?foo=bar") == 451
        assert await envoy.status("/exactly?A=1") == 451
        assert await envoy.status("/exactly?A=12") == 200
        assert await envoy.status("/", agent="a BAD-robot here") == 451
        assert await envoy.get("/", {"bad-robot": "1"}) == (451, [VERSION], "不行")
        assert await envoy.status("/", agent="a good robot") == 200


async def test_the_first_rule_that_matches_the_request_decides(tmp_path: Path) -> None:
    configuration = {
        "block_urls": ["global"],
        "_rules_": [
            {"_match_domain_": ["*.example.com"], "block_urls": ["domain"]},
            {"_match_route_": ["direct"], "_match_service_": ["a.dns"], "block_urls": ["both"]},
            {"_match_service_": ["a.dns:80"], "block_urls": ["service"]},
            {"_match_domain_": ["by-route"], "block_urls": ["unused"]},
            {"_match_route_prefix_": ["dir"], "block_headers": ["x-prefix"]},
        ],
    }
    async with started(tmp_path, configuration) as envoy:
        assert await envoy.status("/domain", Host="www.example.com:8080") == 403
        assert await envoy.status("/global", Host="www.example.com") == 200
        assert await envoy.status("/service") == 403
        assert await envoy.status("/both") == 200
        assert await envoy.status("/global", Host="by-route") == 200
        assert await envoy.status("/unused", Host="by-route") == 403
        assert await envoy.status("/anything", **{"x-prefix": "1"}) == 403
        assert await envoy.status("/global") == 200


async def test_a_request_that_no_rule_matches_gets_the_global_configuration(tmp_path: Path) -> None:
    rules = [{"_match_domain_": ["a.com"], "block_urls": ["rule"]}]
    async with started(tmp_path, {"block_urls": ["global"], "_rules_": rules}) as envoy:
        assert await envoy.status("/global", Host="b.com") == 403
        assert await envoy.status("/rule", Host="b.com") == 200
        assert await envoy.status("/global", Host="a.com") == 200


async def test_two_plugins_with_one_module_keep_their_own_configurations(tmp_path: Path) -> None:
    first = {"block_urls": ["first"], "blocked_code": 401}
    second = {"block_urls": ["second"], "blocked_code": 402}
    async with started(tmp_path, first, second) as envoy:
        assert await envoy.get("/first") == (401, [VERSION], "")
        assert await envoy.get("/second") == (402, [VERSION], "")
        assert await envoy.get("/third") == (200, [VERSION], "")


async def test_an_unknown_key_is_a_warning_in_envoys_log(tmp_path: Path) -> None:
    configuration = {"block_urls": ["x"], "block_uris": ["y"], "block_bodies": ["z"], "blocked_code": 42}
    async with started(tmp_path, configuration) as envoy:
        assert await envoy.status("/x") == 403
        assert envoy.logged("unknown key block_uris is ignored")
        assert envoy.logged("block_bodies is not supported")
        assert envoy.logged("blocked_code 42 is no HTTP status; 403 is used")


@pytest.mark.parametrize(
    ("configuration", "reason"),
    [
        ("", "there is no block rule"),
        ({}, "there is no block rule"),
        ({"block_urls": [""]}, "there is no block rule"),
        ({"block_exact_urls": ["/a"]}, "there is no block rule"),
        ({"block_urls": "swagger"}, "block_urls has to be a list of strings, not a string"),
        ({"block_urls": [1]}, "block_urls has to be a list of strings, not a number"),
        ({"block_headers": {"a": "b"}}, "block_headers has to be a list of strings, not an object"),
        (
            {"block_urls": ["a"], "case_sensitive": "yes"},
            "case_sensitive has to be a boolean, not a string",
        ),
        ({"block_urls": ["a"], "blocked_code": "403"}, "blocked_code has to be a whole number, not a string"),
        ({"block_urls": ["a"], "blocked_message": 1}, "blocked_message has to be a string, not a number"),
        ('{"block_urls": [', "it is not valid JSON"),
        ({"block_urls": ["a"], "_rules_": [{"block_urls": ["b"]}]}, "a rule needs at least one of"),
        (
            {"block_urls": ["a"], "_rules_": [{"_match_domain_": ["a"], "block_urls": 1}]},
            "not a number",
        ),
    ],
)
async def test_a_configuration_that_can_not_be_meant_is_refused(
    tmp_path: Path, configuration: Any, reason: str
) -> None:
    with pytest.raises(RuntimeError) as refused:
        async with started(tmp_path, configuration):
            pass
    assert reason in str(refused.value)
    assert "Unable to create Wasm plugin" in str(refused.value)
