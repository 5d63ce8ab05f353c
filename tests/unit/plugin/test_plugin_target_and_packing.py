"""What a plugin is named by, how it is packed, and who asks a registry."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sim.errors import EnvironmentProblem, InvalidInput
from sim.oci import Credentials, Reference, plugin_member
from sim.oci.media_types import WASM_DOC, WASM_SPEC
from sim.plugin.access import Access, access
from sim.plugin.packing import Packing, member_name, pack
from sim.plugin.target import target, write_file
from sim.wasm import bundled

MODULE = bundled("marker").module


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "main.wasm"
    path.write_bytes(MODULE)
    return path


def test_a_file_comes_before_an_image_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert target("a.b/plugin:1") == Reference("a.b", "plugin", "1")
    (tmp_path / "a.b").mkdir()
    (tmp_path / "a.b" / "plugin:1").write_bytes(MODULE)
    assert target("a.b/plugin:1") == Path("a.b/plugin:1")
    assert target("oci://a.b/plugin:1") == Reference("a.b", "plugin", "1")
    assert target("oci://busybox") == Reference("index.docker.io", "library/busybox", "latest")


@pytest.mark.parametrize(
    "text", ["main.wasm", "./a/b", "../x.wasm", "/nope/main.wasm", "build/main", "a.b/plugin.wasm", "x.tar.gz", ""]
)
def test_a_missing_file_is_not_taken_for_an_image(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match="there is no file"):
        target(text)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_file(tmp_path / "a.wasm", MODULE)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wasm"]
    with pytest.raises(EnvironmentProblem, match="can't be written"):
        write_file(tmp_path / "nowhere" / "a.wasm", MODULE)
    (tmp_path / "folder.wasm").mkdir()
    with pytest.raises(EnvironmentProblem, match="can't be written"):
        write_file(tmp_path / "folder.wasm", MODULE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wasm", "folder.wasm"]


def test_the_guides_format_packs_the_file_under_its_own_name(module: Path) -> None:
    image = pack(module, Packing("guide"))
    assert member_name(module, Packing("guide")) == "main.wasm"
    assert b"main.wasm" in _archive(image.layers[-1].content)
    renamed = pack(module, Packing("guide", member="plugin.wasm"))
    assert plugin_member(renamed.layers[-1].content) == MODULE
    assert plugin_member(pack(module, Packing("docker")).layers[-1].content) == MODULE


def test_spec_and_readme_take_the_place_of_the_formats_own(module: Path, tmp_path: Path) -> None:
    spec, readme = tmp_path / "spec.yaml", tmp_path / "README.md"
    spec.write_text("apiVersion: 1.0.0\nname: mine\n")
    readme.write_text("# Mine\n")
    image = pack(module, Packing("guide", spec=spec, readme=readme))
    contents = {layer.media_type: layer.content for layer in image.layers}
    assert (contents[WASM_SPEC], contents[WASM_DOC]) == (spec.read_bytes(), readme.read_bytes())
    described = {layer["mediaType"]: layer for layer in json.loads(image.manifest)["layers"]}
    assert described[WASM_SPEC]["digest"] == image.layers[0].digest
    assert described[WASM_SPEC]["size"] == len(spec.read_bytes())
    assert described[WASM_SPEC]["annotations"] == {"org.opencontainers.image.title": "spec.yaml"}
    assert pack(module, Packing("guide", spec=spec, readme=readme)) == image


@pytest.mark.parametrize("image_format", ["docker", "oci", "artifact"])
def test_only_the_guides_format_has_a_place_for_documents(image_format: str, module: Path) -> None:
    with pytest.raises(InvalidInput, match="no place for --readme"):
        pack(module, Packing(image_format, readme=module))  # type: ignore[arg-type]  # a parametrized literal


def test_what_is_no_module_is_not_packed(tmp_path: Path) -> None:
    (tmp_path / "plugin.tar.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(InvalidInput, match="not a Wasm module"):
        pack(tmp_path / "plugin.tar.gz", Packing())
    with pytest.raises(InvalidInput, match="is a folder"):
        pack(tmp_path, Packing())


def test_loopback_is_asked_without_tls_and_others_only_if_told() -> None:
    assert Access("127.0.0.1:5000").base_url == "http://127.0.0.1:5000"
    assert Access("registry.example.com").base_url == "https://registry.example.com"
    assert Access("registry.example.com", plain_http=True).base_url == "http://registry.example.com"


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Write Docker's configuration."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    (tmp_path / "docker").mkdir()

    def write(text: str) -> None:
        (tmp_path / "docker" / "config.json").write_text(text)

    return write


async def test_credentials_come_from_dockers_configuration(docker_config: Callable[[str], None]) -> None:
    assert (await access("a.example.com")).credentials == Credentials()
    entry = {"auth": base64.b64encode(b"ann:secret").decode()}
    docker_config(json.dumps({"auths": {"a.example.com": entry}}))
    found = await access("a.example.com")
    assert (found.credentials.user, found.credentials.password) == ("ann", "secret")
    assert (await access("b.example.com")).credentials == Credentials()
    assert "secret" not in repr(found)
    given = await access("a.example.com", user="bob", password="other")
    assert given.credentials.user == "bob"


async def test_credentials_come_from_a_helper_that_the_configuration_names(
    docker_config: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "docker-credential-test"
    helper.write_text('#!/bin/sh\nread host\nprintf \'{"Username":"%s","Secret":"s3"}\' "$host"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    docker_config(json.dumps({"auths": {"a.example.com": {}}, "credsStore": "test"}))
    assert (await access("a.example.com")).credentials == Credentials(user="a.example.com", password="s3")
    helper.write_text("#!/bin/sh\ncat >/dev/null\necho 'credentials not found'\nexit 1\n")
    assert (await access("a.example.com")).credentials == Credentials()
    helper.write_text('#!/bin/sh\ncat >/dev/null\necho \'{"Username":"<token>","Secret":"t"}\'\n')
    assert (await access("a.example.com")).credentials == Credentials(identity_token="t")
    docker_config(json.dumps({"credHelpers": {"a.example.com": "missing"}}))
    with pytest.raises(EnvironmentProblem, match="docker-credential-missing"):
        await access("a.example.com")


async def test_a_configuration_that_can_not_be_read_says_so(docker_config: Callable[[str], None]) -> None:
    docker_config("{")
    with pytest.raises(EnvironmentProblem, match=r"config\.json can't be read"):
        await access("a.example.com")


async def test_a_user_and_a_password_belong_together() -> None:
    with pytest.raises(InvalidInput, match="no password"):
        await access("a.example.com", user="ann")
    with pytest.raises(InvalidInput, match="no user"):
        await access("a.example.com", password="secret")


def _archive(layer: bytes) -> bytes:
    import gzip

    return gzip.decompress(layer)
