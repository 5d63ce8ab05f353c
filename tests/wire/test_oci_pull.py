"""Push by oras, pull as the agent does: what comes out, and what the registry was asked for."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sim.errors import EnvironmentProblem
from sim.oci import (
    BasicAuth,
    Blob,
    FetchError,
    Image,
    ImageFormat,
    OciFetcher,
    Prepared,
    Registry,
    TokenAuth,
    build_image,
    push,
    reset_connection,
)
from sim.oci.digests import sha256_digest
from sim.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from sim.trace import Trace
from tests.golden_files import golden

MODULE = b"\x00asm\x01\x00\x00\x00" + bytes(range(256))
HOST = "hub.example.com"
IMAGE = f"oci://{HOST}/team/block:1.0.0"


@dataclass
class World:
    """A registry that answers for hub.example.com, and what it was asked."""

    registry: Registry
    trace: Trace
    pauses_s: list[float] = field(default_factory=list)

    def requests(self) -> list[tuple[str, int]]:
        """Path and status of each GET since the last call, with blob digests cut off."""
        seen = [
            (event.data["path"].partition("sha256:")[0], event.data["status"])
            for event in self.trace
            if event.data["method"] == "GET"
        ]
        self.trace.events.clear()
        return seen

    async def fail(self, kind: str, status: int, times: int) -> None:
        """Answer the next requests for manifests, blobs or the ping with a status; 0 resets the connection."""
        left = times

        async def fault(request: web.Request) -> web.StreamResponse | None:
            nonlocal left
            if left == 0 or not (request.path == "/v2/" if kind == "ping" else f"/{kind}/" in request.path):
                return None
            left -= 1
            if status == 0:
                reset_connection(request)
            return web.Response(status=status)

        self.registry.faults[:] = [fault]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    trace = Trace()
    async with Registry(tmp_path, trace) as registry:
        yield World(registry, trace)


@pytest.fixture
async def fetcher(world: World) -> AsyncIterator[OciFetcher]:
    async with OciFetcher(mirrors={HOST: world.registry.address}, pauses_s=(0, 0)) as made:
        yield made


async def pushed(world: World, image: Image, reference: str = IMAGE) -> Image:
    await push(image, reference, world.registry.address)
    world.trace.events.clear()
    return image


@pytest.mark.parametrize("image_format", ["docker", "oci", "artifact"])
async def test_an_image_comes_back_as_its_module(world: World, fetcher: OciFetcher, image_format: ImageFormat) -> None:
    image = await pushed(world, build_image(MODULE, image_format))
    prepared = await fetcher.prepare(IMAGE)
    assert f"sha256:{prepared.digest}" == image.digest
    assert await prepared.fetch() == MODULE
    assert world.requests() == [
        ("/v2/", 200),
        ("/v2/team/block/manifests/1.0.0", 200),
        ("/v2/team/block/blobs/", 200),
    ]


async def test_the_guides_image_is_refused_and_the_refusal_tells_both_reasons(
    world: World, fetcher: OciFetcher
) -> None:
    await pushed(world, build_image(MODULE, "guide"))
    prepared = await fetcher.prepare(IMAGE)
    with pytest.raises(FetchError) as refused:
        await prepared.fetch()
    assert refused.value.reason == "invalid"
    assert "plugin.wasm is not in the archive, which holds main.wasm" in refused.value.message
    assert "an artifact has 2 layers, this has 3" in refused.value.message


async def test_the_guides_image_loads_once_its_member_is_called_plugin_wasm(world: World, fetcher: OciFetcher) -> None:
    await pushed(world, build_image(MODULE, "guide", member="plugin.wasm"))
    assert await (await fetcher.prepare(IMAGE)).fetch() == MODULE


async def test_a_push_returns_the_digest_and_writes_nothing(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    image = build_image(MODULE)
    assert await push(image, IMAGE, world.registry.address) == image.digest
    assert await push(image, IMAGE, world.registry.address) == image.digest
    written = capfd.readouterr()
    assert (written.out, written.err) == ("", "")


async def test_a_second_push_sends_no_blob_again(world: World) -> None:
    await push(build_image(MODULE), IMAGE, world.registry.address)
    world.trace.events.clear()
    await push(build_image(MODULE), IMAGE, world.registry.address)
    assert [event.data["method"] for event in world.trace] == ["HEAD", "HEAD", "PUT"]


async def test_a_refused_push_fails_at_once(world: World) -> None:
    async def readonly(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=500) if request.method in ("POST", "PUT") else None

    world.registry.faults.append(readonly)
    with pytest.raises(EnvironmentProblem, match="can't push"):
        await push(build_image(MODULE), IMAGE, world.registry.address)
    assert [event.data["method"] for event in world.trace].count("POST") == 1


async def test_a_push_to_nowhere_fails_at_once(world: World, unused_tcp_port: int) -> None:
    with pytest.raises(EnvironmentProblem, match="can't push"):
        await push(build_image(MODULE), IMAGE, f"127.0.0.1:{unused_tcp_port}")


async def test_a_pull_by_digest_asks_for_the_digest(world: World, fetcher: OciFetcher) -> None:
    image = await pushed(world, build_image(MODULE))
    prepared = await fetcher.prepare(f"oci://{HOST}/team/block@{image.digest}")
    assert await prepared.fetch() == MODULE
    assert world.requests()[1] == ("/v2/team/block/manifests/", 200)


async def test_a_large_module_comes_back_whole(world: World, fetcher: OciFetcher) -> None:
    module = MODULE + bytes(index * index % 253 for index in range(3_000_000))
    await pushed(world, build_image(module))
    sizes: list[int] = []
    assert await (await fetcher.prepare(IMAGE)).fetch(sizes.append) == module
    assert sizes == [len(build_image(module).layers[0].content)]


async def test_a_small_layer_that_swells_comes_back_whole(world: World, fetcher: OciFetcher) -> None:
    module = MODULE + bytes(5_000_000)
    assert len(build_image(module).layers[0].content) < 64 * 1024
    await pushed(world, build_image(module))
    assert await (await fetcher.prepare(IMAGE)).fetch() == module


async def test_a_bomb_is_refused(world: World) -> None:
    await pushed(world, build_image(MODULE + bytes(5_000_000)))
    async with OciFetcher(mirrors={HOST: world.registry.address}, limit_bytes=4_000_000) as fetcher:
        prepared = await fetcher.prepare(IMAGE)
        with pytest.raises(FetchError, match="more than 3 MB") as refused:
            await prepared.fetch()
    assert refused.value.reason == "invalid"


async def test_a_module_that_is_none_is_refused(world: World, fetcher: OciFetcher) -> None:
    await pushed(world, build_image(b"this is text, no module"))
    prepared = await fetcher.prepare(IMAGE)
    with pytest.raises(FetchError, match="not a Wasm module") as refused:
        await prepared.fetch()
    assert refused.value.reason == "invalid"


@pytest.mark.parametrize("size", [0, 200_000])
async def test_a_layer_with_another_content_is_refused(world: World, fetcher: OciFetcher, size: int) -> None:
    noise = bytes(index * index % 251 for index in range(size))
    image = await pushed(world, build_image(MODULE + noise))
    other = build_image(bytes(reversed(MODULE)) + noise)
    right, wrong = image.layers[0].content, other.layers[0].content

    async def swap(request: web.Request) -> web.StreamResponse | None:
        if "/blobs/" not in request.path:
            return None
        return web.Response(body=wrong[: len(right)].ljust(len(right), b"\x00"))

    world.registry.faults.append(swap)
    prepared = await fetcher.prepare(IMAGE)
    with pytest.raises(FetchError) as refused:
        await prepared.fetch()
    assert refused.value.reason == "checksum"


async def test_a_manifest_with_another_digest_than_asked_for_is_refused(world: World, fetcher: OciFetcher) -> None:
    image = await pushed(world, build_image(MODULE))

    async def swap(request: web.Request) -> web.StreamResponse | None:
        return web.Response(body=image.manifest + b"\n") if "/manifests/" in request.path else None

    world.registry.faults.append(swap)
    with pytest.raises(FetchError) as refused:
        await fetcher.prepare(f"oci://{HOST}/team/block@{image.digest}")
    assert refused.value.reason == "checksum"


async def test_a_layer_of_another_length_is_refused(world: World, fetcher: OciFetcher) -> None:
    await pushed(world, build_image(MODULE))

    async def shorten(request: web.Request) -> web.StreamResponse | None:
        return web.Response(body=b"short") if "/blobs/" in request.path else None

    world.registry.faults.append(shorten)
    prepared = await fetcher.prepare(IMAGE)
    with pytest.raises(FetchError, match="5 bytes") as refused:
        await prepared.fetch()
    assert refused.value.reason == "checksum"


async def test_of_an_index_the_child_for_linux_amd64_is_taken(world: World, fetcher: OciFetcher) -> None:
    amd64, arm64 = build_image(MODULE, "oci"), build_image(MODULE + b"arm", "oci")
    for image in (amd64, arm64):
        await push(image, f"oci://{HOST}/team/block@{image.digest}", world.registry.address)
    children = [
        {
            "mediaType": image.media_type,
            "digest": image.digest,
            "size": len(image.manifest),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for image, architecture in ((arm64, "arm64"), (amd64, "amd64"))
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}).encode()
    await pushed(world, Image(OCI_INDEX, index, amd64.config, ()))
    prepared = await fetcher.prepare(IMAGE)
    assert f"sha256:{prepared.digest}" == amd64.digest
    assert await prepared.fetch() == MODULE
    assert [path for path, _ in world.requests()] == [
        "/v2/",
        "/v2/team/block/manifests/1.0.0",
        "/v2/team/block/manifests/",
        "/v2/team/block/blobs/",
    ]


async def test_an_index_that_holds_itself_ends(world: World, fetcher: OciFetcher) -> None:
    async def endless(request: web.Request) -> web.StreamResponse | None:
        if "/manifests/" not in request.path:
            return None
        depth = 0 if request.path.endswith("1.0.0") else depths[request.path.rpartition("/")[2]]
        child = indexes[depth + 1]
        return web.Response(body=indexes[depth], content_type=OCI_INDEX) if child else None

    indexes: list[bytes] = [b"{}"]
    depths: dict[str, int] = {}
    for _ in range(20):
        child = {"mediaType": OCI_INDEX, "digest": sha256_digest(indexes[0]), "size": len(indexes[0])}
        indexes.insert(0, json.dumps({"manifests": [child]}).encode())
    depths.update({sha256_digest(index): depth for depth, index in enumerate(indexes)})
    world.registry.faults.append(endless)
    with pytest.raises(FetchError, match="without an end"):
        await fetcher.prepare(IMAGE)


async def test_an_image_with_two_layers_is_tried_as_an_image_first(world: World, fetcher: OciFetcher) -> None:
    """The last layer is a broken archive, the first the module itself: the agent downloads both."""
    archive = Blob(OCI_LAYER, b"no archive")
    module = build_image(MODULE, "artifact").layers[1]
    config = Blob(OCI_CONFIG, b"{}")
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": config.descriptor(),
            "layers": [module.descriptor(), archive.descriptor()],
        }
    ).encode()
    await pushed(world, Image(OCI_MANIFEST, manifest, config, (module, archive)))
    assert await (await fetcher.prepare(IMAGE)).fetch() == MODULE
    assert [path for path, _ in world.requests()].count("/v2/team/block/blobs/") == 2


@pytest.mark.parametrize("image_format", ["docker", "oci", "artifact"])
async def test_a_failed_download_is_told_from_a_wrong_form(
    world: World, fetcher: OciFetcher, image_format: ImageFormat
) -> None:
    await pushed(world, build_image(MODULE, image_format))
    await world.fail("blobs", 403, 99)
    prepared = await fetcher.prepare(IMAGE)
    with pytest.raises(FetchError) as failed:
        await prepared.fetch()
    assert (failed.value.reason, failed.value.status) == ("download", 403)


# Faults, counted as in the golden file.

_FAULTS = [
    case
    for case in golden("agent-fetches-istio-1.27.json")
    if case["name"].startswith("oci-") and case["steps"][0]["faults"]
]


def _without_digest(path: str) -> str:
    return path.replace("/plugins/demo/", "/team/block/").partition("sha256:")[0].rpartition("/")[0]


@pytest.mark.parametrize("case", _FAULTS, ids=[case["name"] for case in _FAULTS])
async def test_faults_are_met_as_the_real_agent_meets_them(
    world: World, fetcher: OciFetcher, case: dict[str, Any]
) -> None:
    (step,) = case["steps"]
    (fault,) = step["faults"]
    await pushed(world, build_image(MODULE))
    await world.fail(fault["on"], fault["status"], fault["times"])
    try:
        module: bytes | None = await (await fetcher.prepare(IMAGE)).fetch()
    except FetchError as failed:
        module = None
        assert failed.reason == "download"
        assert failed.status == (fault["status"] or None)
        assert failed.hint
    assert [(path.rpartition("/")[0], status) for path, status in world.requests()] == [
        (_without_digest(request["path"]), request["status"]) for request in step["requests"]
    ]
    assert (module is None) == (step["envoy_gets"] == {"p": "allow-all"})


def test_every_kind_of_fault_is_in_the_golden_file() -> None:
    assert len(_FAULTS) == 15


@pytest.mark.parametrize(("status", "tries"), [(500, 3), (0, 3), (403, 1), (404, 1), (429, 1)])
async def test_a_failing_ping_ends_the_pull(world: World, fetcher: OciFetcher, status: int, tries: int) -> None:
    await world.fail("ping", status, 99)
    with pytest.raises(FetchError) as failed:
        await fetcher.prepare(IMAGE)
    assert failed.value.reason == "download"
    # The first connection is new, so a reset of it is not answered by an immediate retry.
    assert world.requests() == [("/v2/", status)] * tries


async def test_the_pauses_are_those_of_the_agent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    monkeypatch.setattr("sim.oci.conversation.asyncio.sleep", pause)
    await world.fail("manifests", 503, 99)
    async with OciFetcher(mirrors={HOST: world.registry.address}) as fetcher:
        with pytest.raises(FetchError):
            await fetcher.prepare(IMAGE)
    assert paused == [0.1, 0.3]


async def test_the_registrys_own_words_are_passed_on(world: World, fetcher: OciFetcher) -> None:
    await pushed(world, build_image(MODULE))
    with pytest.raises(FetchError) as failed:
        await fetcher.prepare(f"oci://{HOST}/team/block:nope")
    assert "MANIFEST_UNKNOWN" in failed.value.message
    assert failed.value.status == 404


async def test_a_body_that_breaks_off_is_not_asked_for_again(world: World, fetcher: OciFetcher) -> None:
    image = await pushed(world, build_image(MODULE))

    async def break_off(request: web.Request) -> web.StreamResponse | None:
        if "/blobs/" not in request.path:
            return None
        response = web.StreamResponse()
        response.content_length = len(image.layers[0].content)
        await response.prepare(request)
        await response.write(image.layers[0].content[:20])
        reset_connection(request)
        return None

    world.registry.faults.append(break_off)
    prepared = await fetcher.prepare(IMAGE)
    with pytest.raises(FetchError) as failed:
        await prepared.fetch()
    assert failed.value.reason == "download"
    assert [path for path, _ in world.requests()].count("/v2/team/block/blobs/") == 1


async def test_nobody_listening_is_final(unused_tcp_port: int) -> None:
    async with OciFetcher(pauses_s=(3600, 3600)) as fetcher:
        with pytest.raises(FetchError, match="can't be reached") as failed:
            await fetcher.prepare(f"oci://127.0.0.1:{unused_tcp_port}/team/block:1.0.0")
    assert failed.value.reason == "download"


async def test_a_slow_registry_is_a_timeout(world: World) -> None:
    stuck = asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse | None:
        await stuck.wait()
        return None

    world.registry.faults.append(wait)
    async with OciFetcher(mirrors={HOST: world.registry.address}, timeout_s=0.05) as fetcher:
        with pytest.raises(FetchError) as failed:
            await fetcher.prepare(IMAGE)
    assert failed.value.reason == "timeout"
    stuck.set()


async def test_two_pulls_at_once_ask_twice(world: World, fetcher: OciFetcher) -> None:
    await pushed(world, build_image(MODULE))

    async def pull() -> bytes:
        return await (await fetcher.prepare(IMAGE)).fetch()

    assert list(await asyncio.gather(pull(), pull())) == [MODULE, MODULE]
    assert sorted(path for path, _ in world.requests()) == sorted(
        ["/v2/", "/v2/team/block/manifests/1.0.0", "/v2/team/block/blobs/"] * 2
    )


# Authentication.


def secret(user: str, password: str, host: str = HOST) -> bytes:
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    return json.dumps({"auths": {host: {"auth": auth}}}).encode()


@pytest.fixture(params=[BasicAuth, TokenAuth])
async def guarded(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    trace = Trace()
    async with Registry(tmp_path, trace, auth=request.param("alice", "s3cret")) as registry:
        made = World(registry, trace)
        await push(build_image(MODULE), IMAGE, registry.address, user="alice", password="s3cret")
        trace.events.clear()
        yield made


async def test_a_pull_secret_opens_a_guarded_registry(guarded: World) -> None:
    async with OciFetcher(mirrors={HOST: guarded.registry.address}) as fetcher:
        assert await (await fetcher.prepare(IMAGE, secret("alice", "s3cret"))).fetch() == MODULE
    asked = [path for path, _ in guarded.requests()]
    assert [path for path in asked if path != "/token"] == [
        "/v2/",
        "/v2/team/block/manifests/1.0.0",
        "/v2/team/block/blobs/",
    ]


@pytest.mark.parametrize(
    "pull_secret", [None, secret("alice", "wrong"), secret("alice", "s3cret", "other.example.com")]
)
async def test_without_the_right_secret_a_guarded_registry_stays_closed(
    guarded: World, pull_secret: bytes | None
) -> None:
    async with OciFetcher(mirrors={HOST: guarded.registry.address}) as fetcher:
        with pytest.raises(FetchError) as failed:
            await fetcher.prepare(IMAGE, pull_secret)
    assert (failed.value.reason, failed.value.status) == ("download", 401)


async def test_a_push_without_a_password_is_refused(guarded: World) -> None:
    with pytest.raises(EnvironmentProblem, match="can't push"):
        await push(build_image(MODULE), IMAGE, guarded.registry.address)


async def test_a_token_that_expired_is_renewed_once(tmp_path: Path) -> None:
    auth = TokenAuth("alice", "s3cret")
    trace = Trace()
    async with Registry(tmp_path, trace, auth=auth) as registry:
        await push(build_image(MODULE), IMAGE, registry.address, user="alice", password="s3cret")
        async with OciFetcher(mirrors={HOST: registry.address}) as fetcher:
            prepared = await fetcher.prepare(IMAGE, secret("alice", "s3cret"))
            auth.revoke()
            trace.events.clear()
            assert await prepared.fetch() == MODULE
    assert [event.data["status"] for event in trace] == [401, 200, 200]


@dataclass
class Elsewhere:
    """Another host, to which a registry redirects. Keeps the Authorization headers that reach it."""

    address: str
    authorizations: list[str | None]


@pytest.fixture
async def elsewhere() -> AsyncIterator[Elsewhere]:
    layer = build_image(MODULE).layers[0].content
    seen: list[str | None] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization"))
        return web.Response(body=layer)

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield Elsewhere(f"127.0.0.1:{runner.addresses[0][1]}", seen)
    await runner.cleanup()


def redirect(to: str) -> Callable[[web.Request], Awaitable[web.StreamResponse | None]]:
    async def fault(request: web.Request) -> web.StreamResponse | None:
        if "/blobs/" not in request.path or request.path.startswith("/moved"):
            return None
        return web.Response(status=307, headers={"Location": to})

    return fault


async def test_credentials_do_not_follow_a_redirect_to_another_host(guarded: World, elsewhere: Elsewhere) -> None:
    guarded.registry.faults.append(redirect(f"http://{elsewhere.address}/blob?sig=a%2Fb"))
    async with OciFetcher(mirrors={HOST: guarded.registry.address}) as fetcher:
        prepared = await fetcher.prepare(IMAGE, secret("alice", "s3cret"))
        assert await prepared.fetch() == MODULE
    assert elsewhere.authorizations == [None]


async def test_credentials_stay_on_a_redirect_within_the_registry(world: World, fetcher: OciFetcher) -> None:
    await pushed(world, build_image(MODULE))
    seen: list[str | None] = []

    async def move(request: web.Request) -> web.StreamResponse | None:
        seen.append(request.headers.get("Authorization"))
        if "/blobs/" in request.path and not request.query:
            return web.Response(status=302, headers={"Location": f"{request.path}?moved=1"})
        return None

    prepared = await fetcher.prepare(IMAGE)
    prepared._conversation.authorization = "Basic abc"
    world.registry.faults.append(move)
    assert await prepared.fetch() == MODULE
    assert seen == ["Basic abc", "Basic abc"]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://"])
async def test_a_redirect_to_something_else_than_http_is_refused(
    world: World, fetcher: OciFetcher, target: str
) -> None:
    await pushed(world, build_image(MODULE))
    world.registry.faults.append(redirect(target))
    prepared = await fetcher.prepare(IMAGE)
    with pytest.raises(FetchError) as failed:
        await prepared.fetch()
    assert failed.value.reason == "download"


async def test_a_redirect_in_a_circle_ends(world: World, fetcher: OciFetcher) -> None:
    await pushed(world, build_image(MODULE))
    world.registry.faults.append(redirect("/v2/team/block/blobs/again"))
    prepared = await fetcher.prepare(IMAGE)
    with pytest.raises(FetchError, match="redirects more than 10 times"):
        await prepared.fetch()


# TLS, and registries that may not be asked.


async def test_a_private_ca_is_trusted_where_it_is_given(
    tmp_path: Path, tls_contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    server, client = tls_contexts
    async with Registry(tmp_path, ssl_context=server) as registry:
        await _store(registry, build_image(MODULE + bytes(300_000)))
        reference = f"oci://{registry.address}/team/block:1.0.0"
        async with OciFetcher(ssl_context=client) as fetcher:
            assert await (await fetcher.prepare(reference)).fetch() == MODULE + bytes(300_000)
        async with OciFetcher(mirrors={registry.address: registry.url}) as fetcher:
            with pytest.raises(FetchError, match="can't be reached"):
                await fetcher.prepare(reference)
        async with OciFetcher(
            mirrors={}, insecure_registries=[registry.address], ssl_context=ssl.create_default_context()
        ) as fetcher:
            assert await (await fetcher.prepare(reference)).fetch() == MODULE + bytes(300_000)


@pytest.fixture(scope="session")
def tls_contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for 127.0.0.1 by a private CA, and a client's that trusts it."""
    if shutil.which("openssl") is None:
        # A certificate has to be made by somebody. CI installs the program (.ci/install-system-packages).
        if os.environ.get("CI"):
            pytest.fail("openssl is not installed")
        pytest.skip("NO OPENSSL, PULLING OVER TLS IS NOT TESTED: install the package openssl")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=ecdsim test", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return server, ssl.create_default_context(cafile=str(folder / "cert.pem"))


async def _store(registry: Registry, image: Image, name: str = "team/block", tag: str = "1.0.0") -> None:
    """Put an image into a registry without a push."""
    for blob in image.blobs:
        registry.store.content_path(blob.digest).write_bytes(blob.content)
        registry.store.link_blob(name, blob.digest)
    registry.store.put_manifest(name, image.digest, image.media_type, image.manifest)
    registry.store.put_tag(name, tag, image.digest)


async def test_a_server_that_answers_tls_without_tls_is_asked_again_without(
    world: World, tls_contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    await pushed(world, build_image(MODULE))
    _, client = tls_contexts
    async with OciFetcher(ssl_context=client) as fetcher:
        prepared: Prepared = await fetcher.prepare(f"oci://{world.registry.address}/team/block:1.0.0")
        assert await prepared.fetch() == MODULE


async def test_a_registry_that_is_not_allowed_is_never_asked(world: World) -> None:
    async with OciFetcher(allowed_registries=["good.example.com"]) as fetcher:
        with pytest.raises(FetchError, match="may not be reached"):
            await fetcher.prepare(f"oci://{world.registry.address}/team/block:1.0.0")
    assert world.requests() == []
