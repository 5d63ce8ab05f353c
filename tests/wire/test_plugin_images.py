"""`ecdsim plugin push|pull|ls|inspect` against a registry, which has a thread of its own."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp import web

from sim.cli import main
from sim.oci import (
    BasicAuth,
    Blob,
    Image,
    ImageFormat,
    OciFetcher,
    Registry,
    TokenAuth,
    build_image,
    compressed,
    push,
    tar_archive,
)
from sim.oci.media_types import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
)
from sim.wasm import bundled
from tests.wasm_modules import ABI_HIGRESS, plugin

T = TypeVar("T")

MODULE = bundled("request-block").module


@dataclass(frozen=True)
class Ended:
    status: int
    stdout: str
    stderr: str

    @property
    def data(self) -> Any:
        return json.loads(self.stdout)


Run = Callable[..., Ended]


@pytest.fixture
def ecdsim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `ecdsim plugin` in the test's folder, where Docker has no configuration unless the test writes one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))

    def run(*arguments: str | Path, stdin: str = "") -> Ended:
        capsys.readouterr()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "argv", ["ecdsim", "plugin", *map(str, arguments)])
            patched.setattr(sys, "stdin", io.StringIO(stdin))
            status = main()
        captured = capsys.readouterr()
        return Ended(status, captured.out, captured.err)

    return run


@contextmanager
def serving(starting: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[T]:
    """What is started, in a thread with an event loop of its own, for as long as this is entered."""
    entered: queue.Queue[T | BaseException] = queue.Queue()
    loop = asyncio.new_event_loop()
    left = asyncio.Event()

    async def serve() -> None:
        async with starting() as running:
            entered.put(running)
            await left.wait()

    def work() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:  # noqa: BLE001 -- it is raised where it is waited for
            entered.put(error)
        finally:
            loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        running = entered.get(timeout=30)
        if isinstance(running, BaseException):
            raise running
        yield running
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(left.set)
        thread.join(timeout=30)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with serving(lambda: Registry(tmp_path / "registry")) as running:
        yield running


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "main.wasm"
    path.write_bytes(MODULE)
    return path


async def loaded(reference: str) -> tuple[str, bytes]:
    """The digest and the module, as the agent gets them."""
    async with OciFetcher() as fetcher:
        prepared = await fetcher.prepare(reference)
        return f"sha256:{prepared.digest}", await prepared.fetch()


@pytest.mark.parametrize("image_format", ["docker", "oci", "artifact"])
def test_what_was_pushed_is_what_the_agent_loads(
    image_format: str, ecdsim: Run, registry: Registry, module: Path, tmp_path: Path
) -> None:
    reference = f"{registry.address}/team/block:1.0.0"
    pushed = ecdsim("push", module, reference, "--format", image_format, "-o", "json")
    assert pushed.status == 0, pushed.stderr
    assert pushed.data["url"] == f"oci://{reference}"
    assert asyncio.run(loaded(reference)) == (pushed.data["digest"], MODULE)

    inspected = ecdsim("inspect", reference, "-o", "json")
    assert (inspected.status, inspected.data["loadable"]) == (0, True)
    assert inspected.data["image"]["format"] == image_format
    assert inspected.data["image"]["digest"] == pushed.data["digest"]
    assert inspected.data["module"]["loads_on"]["stock_envoy"] == "yes"

    pulled = ecdsim("pull", f"oci://{reference}", "-o", "out.wasm")
    assert pulled.status == 0, pulled.stderr
    assert (tmp_path / "out.wasm").read_bytes() == MODULE
    assert (ecdsim("pull", reference)).status == 0
    assert (tmp_path / "block.wasm").read_bytes() == MODULE


def test_the_guides_own_push_is_told_not_to_be_loadable_at_every_turn(
    ecdsim: Run, registry: Registry, module: Path, tmp_path: Path
) -> None:
    reference = f"{registry.address}/team/block:guide"
    pushed = ecdsim("push", module, reference, "--format", "guide")
    assert pushed.status == 0
    assert "the agent does not load this image" in pushed.stderr and "--member plugin.wasm" in pushed.stderr
    inspected = ecdsim("inspect", reference)
    assert inspected.status == 1
    assert "plugin.wasm is not in the archive, which holds main.wasm" in inspected.stdout
    assert "application/vnd.module.wasm.spec.v1+yaml  spec.yaml" in inspected.stdout
    pulled = ecdsim("pull", reference)
    assert pulled.status == 1
    assert "the agent refuses it" in pulled.stderr
    assert not (tmp_path / "block.wasm").exists()

    mended = ecdsim("push", module, reference, "--format", "guide", "--member", "plugin.wasm")
    assert mended.status == 0 and mended.stderr == ""
    assert (ecdsim("inspect", reference)).status == 0


def image(media_type: str, config: str, *layers: Blob) -> Image:
    configuration = Blob(config, b"{}")
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": configuration.descriptor(),
        "layers": [layer.descriptor() for layer in layers],
    }
    return Image(media_type, json.dumps(manifest).encode(), configuration, layers)


ARCHIVE = compressed(tar_archive({"plugin.wasm": MODULE}))


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        (image(DOCKER_MANIFEST, DOCKER_CONFIG, Blob(OCI_LAYER, ARCHIVE)), "its last layer is"),
        (image(OCI_MANIFEST, OCI_CONFIG, Blob("application/vnd.oci.image.layer.v1.tar", ARCHIVE)), "its last layer is"),
        (image(OCI_MANIFEST, OCI_CONFIG), "it has no layers"),
        (
            image(OCI_MANIFEST, OCI_CONFIG, Blob(OCI_LAYER, ARCHIVE), Blob("application/x", b"x"), Blob("a/b", b"y")),
            "an artifact has 2 layers, this has 3",
        ),
        (image(DOCKER_MANIFEST, DOCKER_CONFIG, Blob(DOCKER_LAYER, b"no gzip")), "incorrect header check"),
        (
            image(DOCKER_MANIFEST, DOCKER_CONFIG, Blob(DOCKER_LAYER, compressed(tar_archive({"plugin.wasm": b"x"})))),
            "not a Wasm module",
        ),
        (build_image(plugin(abis=[]), "docker"), "exports no proxy_abi_version_*"),
        (build_image(plugin(imports=[("env", "proxy_redis_init")]), "oci"), "lacks env.proxy_redis_init"),
    ],
)
def test_an_image_that_would_not_work_is_1_and_says_why(odd: Image, told: str, ecdsim: Run, registry: Registry) -> None:
    reference = f"{registry.address}/team/odd:1"
    asyncio.run(push(odd, reference, registry.address))
    ended = ecdsim("inspect", reference, "-o", "yaml")
    assert ended.status == 1
    assert told in ended.stderr
    assert "loadable: false" in ended.stdout


@pytest.mark.parametrize("platforms", [[], ["arm64"]])
def test_an_index_without_our_platform_is_1_as_any_other_image(
    platforms: list[str], ecdsim: Run, registry: Registry, tmp_path: Path
) -> None:
    name = f"{registry.address}/team/index"
    inner = build_image(MODULE, "oci")
    digest = asyncio.run(push(inner, f"{name}:inner", registry.address))
    listed = [
        {
            "mediaType": OCI_MANIFEST,
            "digest": digest,
            "size": len(inner.manifest),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for architecture in platforms
    ]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
    asyncio.run(push(Image(OCI_INDEX, json.dumps(index).encode(), inner.config, ()), f"{name}:1", registry.address))
    ended = ecdsim("inspect", f"{name}:1", "-o", "json")
    assert (ended.status, ended.data["loadable"], ended.data["kind"]) == (1, False, "image")
    assert "linux/amd64" in ended.stderr and ended.stderr.count(f"{name}:1") <= 1
    assert "image" in ecdsim("inspect", f"{name}:1").stdout
    pulled = ecdsim("pull", f"{name}:1", "-o", tmp_path / "x.wasm")
    assert (pulled.status, pulled.stdout) == (1, "")


def test_a_pull_tells_that_it_overwrites(ecdsim: Run, registry: Registry, tmp_path: Path) -> None:
    reference = f"{registry.address}/team/mine:1"
    asyncio.run(push(build_image(MODULE, "docker"), reference, registry.address))
    file = tmp_path / "x.wasm"
    assert "overwritten" not in ecdsim("pull", reference, "-o", file).stdout
    assert "overwritten" in ecdsim("pull", reference, "-o", file).stdout
    assert file.read_bytes() == MODULE


def test_a_module_for_the_shim_is_loadable(ecdsim: Run, registry: Registry) -> None:
    reference = f"{registry.address}/team/go:1"
    made = build_image(plugin(abis=[ABI_HIGRESS], callbacks=["proxy_on_request_headers"]))
    asyncio.run(push(made, reference, registry.address))
    ended = ecdsim("inspect", reference)
    assert ended.status == 0
    assert "stock Envoy with shim" in ended.stdout


def test_ls_tells_repositories_tags_and_formats(ecdsim: Run, registry: Registry) -> None:
    images: list[tuple[str, str, ImageFormat]] = [
        ("b/two", "2", "oci"),
        ("a/one", "1.0", "docker"),
        ("b/two", "1", "guide"),
    ]
    digests = {}
    for repository, tag, image_format in images:
        made = build_image(MODULE, image_format)
        reference = f"{registry.address}/{repository}:{tag}"
        digests[repository, tag] = asyncio.run(push(made, reference, registry.address))
    ended = ecdsim("ls", registry.address, "-o", "json")
    assert ended.status == 0, ended.stderr
    assert [(item["repository"], item["tag"], item["format"]) for item in ended.data] == [
        ("a/one", "1.0", "docker"),
        ("b/two", "1", "guide"),
        ("b/two", "2", "oci"),
    ]
    assert {(item["repository"], item["tag"]): item["digest"] for item in ended.data} == digests
    assert all(item["size_bytes"] > 0 and item["problem"] is None for item in ended.data)
    only = ecdsim("ls", f"oci://{registry.address}/b/two")
    assert only.status == 0
    assert "a/one" not in only.stdout and only.stdout.count("b/two") == 2


async def test_ls_follows_pages_and_lists_what_can_not_be_read() -> None:
    from sim.plugin.access import Access
    from sim.plugin.listing import list_images

    async def answer(request: web.Request) -> web.Response:
        page = request.query.get("last")
        if request.path == "/v2/_catalog":
            return web.json_response({"repositories": ["a/b"]})
        if request.path == "/v2/a/b/tags/list":
            if page is None:
                link = '<http://elsewhere.example/v2/a/b/tags/list?last=1>; rel="next"'
                return web.json_response({"tags": ["1"]}, headers={"Link": link})
            return web.json_response({"tags": ["2"]} if page == "1" else {"tags": None})
        return web.json_response({}, status=200 if request.path == "/v2/" else 404)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        listed = await list_images(Access(f"127.0.0.1:{runner.addresses[0][1]}"), None)
    finally:
        await runner.cleanup()
    assert [(item.repository, item.tag, item.digest) for item in listed] == [("a/b", "1", None), ("a/b", "2", None)]
    assert all(item.problem is not None and "404" in item.problem for item in listed)


@pytest.mark.parametrize("auth", [BasicAuth("ann", "s3cret"), TokenAuth("ann", "s3cret")], ids=["basic", "token"])
def test_a_guarded_registry_wants_credentials_for_everything(
    auth: BasicAuth | TokenAuth, ecdsim: Run, tmp_path: Path, module: Path
) -> None:
    with serving(lambda: Registry(tmp_path / "guarded", auth=auth)) as registry:
        reference = f"{registry.address}/team/block:1"
        user = ("-u", "ann", "--password-stdin")
        for refused in (
            ecdsim("push", module, reference),
            ecdsim("push", module, reference, *user, stdin="wrong\n"),
            ecdsim("ls", registry.address),
            ecdsim("pull", reference),
        ):
            assert refused.status == 3, refused.stdout
            assert "hint" in refused.stderr and "Traceback" not in refused.stderr
        assert (ecdsim("push", module, reference, *user, stdin="s3cret\n")).status == 0
        assert (ecdsim("inspect", reference, *user, stdin="s3cret")).status == 0
        assert (ecdsim("ls", f"{registry.address}/team/block", *user, stdin="s3cret\n")).status == 0
        _write_docker_config(tmp_path, registry.address)
        for allowed in (
            ecdsim("ls", registry.address),
            ecdsim("push", module, f"{reference}0"),
            ecdsim("pull", f"{reference}0"),
        ):
            assert allowed.status == 0, allowed.stderr


def _write_docker_config(folder: Path, registry: str) -> None:
    (folder / "docker").mkdir()
    entry = {"auth": base64.b64encode(b"ann:s3cret").decode()}
    (folder / "docker" / "config.json").write_text(json.dumps({"auths": {registry: entry}}))


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("push", "nope.wasm", "{registry}/a/b:1"), 2, "there is no file nope.wasm"),
        (("push", "main.wasm", "plugins/mine:1"), 2, "names no registry"),
        (("push", "main.wasm", "{registry}/A/b:1"), 2, "lower case"),
        (("push", "main.wasm", "{registry}/a/b@sha256:" + "0" * 64), 2, "names a digest"),
        (("push", "main.wasm", "{registry}/a/b:1", "--readme", "main.wasm"), 2, "no place for --readme"),
        (("push", "main.wasm", "{registry}/a/b:1", "-u", "ann"), 2, "no password"),
        (("push", "main.wasm", "{registry}/a/b:1", "--format", "zip"), 2, "zip"),
        (("push", "main.wasm", "127.0.0.1:1/a/b:1"), 3, "127.0.0.1:1"),
        (("inspect", "nope.wasm"), 2, "there is no file"),
        (("inspect", "127.0.0.1:1/a/b:1"), 3, "can't be reached"),
        (("inspect", "{registry}/a/b:1"), 3, "404"),
        (("pull", "{registry}/a/b:1"), 3, "404"),
        (("pull", "busybox"), 2, "names no registry"),
        (("ls", "127.0.0.1:1"), 3, "can't be reached"),
        (("push", "main.wasm", "{registry}"), 2, "names no repository"),
        (("push", "main.wasm", "{registry}/a/b:1", "--member", ""), 2, "--member is empty"),
        (("push", "main.wasm", "127.0.0.1:1/a/b:1"), 3, "nobody listens at 127.0.0.1:1"),
        (("ls", "nowhere"), 2, "names no registry"),
        (("ls", "{registry}/a/b:1"), 2, "leave its tag out"),
        (("ls", "{registry}/a/b"), 3, "no such repository"),
        (("build", "nowhere"), 2, "is no folder"),
        (("build", "."), 2, "there is no plugin in ."),
        (("test", "nope.wasm"), 2, "there is no file"),
        (("test", "main.wasm", "-c", "nope.yaml"), 2, "there is no file nope.yaml"),
        (("test", "main.wasm", "-r", "GET"), 2, "is no request"),
        (("test", "main.wasm", "-H", "no header"), 2, "is no header"),
        (("test", "main.wasm", "--expect-status", "200", "--expect-status", "200"), 2, "there are 1 requests"),
    ],
)
def test_what_can_not_be_done_says_why_and_has_its_status(
    arguments: tuple[str, ...], status: int, told: str, ecdsim: Run, registry: Registry, module: Path
) -> None:
    ended = ecdsim(*(argument.replace("{registry}", registry.address) for argument in arguments))
    assert (ended.status, ended.stdout) == (status, ""), ended.stderr
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
