"""Looking into files: modules, archives as users pack them, and what is neither."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from sim.oci import compressed, tar_archive
from sim.oci.fetch_error import MAX_BYTES
from sim.plugin.examine import examine_file
from sim.plugin.manifests import read_layout
from sim.wasm import bundled
from tests.wasm_modules import plugin

MODULE = bundled("request-block").module


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_a_module_is_loadable_and_comes_with_its_bytes(tmp_path: Path) -> None:
    examined = examine_file(written(tmp_path, "main.wasm", MODULE))
    assert (examined.kind, examined.loadable, examined.content) == ("module", True, MODULE)
    assert examined.module is not None and examined.module.loads_on.verdict == "yes"
    data = examined.as_dict()
    assert data["size_bytes"] == len(MODULE) and data["image"] is None and data["members"] is None
    json.dumps(data)


def test_the_guides_own_archive_is_not_loadable_and_says_how_it_would_be(tmp_path: Path) -> None:
    made = compressed(tar_archive({"main.wasm": MODULE}))
    examined = examine_file(written(tmp_path, "plugin.tar.gz", made))
    assert (examined.kind, examined.loadable, examined.content) == ("archive", False, None)
    (problem,) = examined.problems
    assert "looks for plugin.wasm" in problem.what and "main.wasm" in problem.what and "FAIL_OPEN" in problem.what
    assert "cp main.wasm plugin.wasm && tar czf plugin.tar.gz plugin.wasm" in problem.hint
    # What is in it is told all the same.
    assert examined.module is not None and examined.module.sha256 and examined.members == ("main.wasm",)


def test_an_archive_with_plugin_wasm_in_some_folder_is_loadable(tmp_path: Path) -> None:
    made = compressed(tar_archive({"README.md": b"# x", "out/plugin.wasm": MODULE}))
    examined = examine_file(written(tmp_path, "plugin.tar.gz", made))
    assert (examined.loadable, examined.content) == (True, MODULE)
    assert examined.members == ("README.md", "out/plugin.wasm")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (tar_archive({"plugin.wasm": MODULE}), "not compressed"),
        (compressed(tar_archive({"README.md": b"# x"})), "holds no plugin.wasm"),
        (compressed(tar_archive({"manifest.json": b"[]", "abc/layer.tar": b""})), "a saved image"),
        (compressed(tar_archive({"plugin.wasm": b"no module"})), "malformed Wasm module"),
        (compressed(tar_archive({"plugin.wasm": b"\0asm\x01\0\0\0\x07"})), "malformed Wasm module"),
        (b"package main\n", "no Wasm module: it begins with 70 61 63 6b"),
        (b"", "it is empty"),
        (b"\0asm", "cut off after 4 bytes"),
        (gzip.compress(MODULE), "a Wasm module compressed with gzip"),
        (compressed(tar_archive({})), "an archive without a file"),
        (bz2.compress(tar_archive({"plugin.wasm": MODULE})), "compressed with bzip2"),
        (compressed(tar_archive({"plugin.wasm": b"text"})), "plugin.wasm in it: malformed"),
        (compressed(tar_archive({"plugin.wasm": b""})), "plugin.wasm in it: it is empty"),
        (b"\x1f\x8b broken", "no Wasm module"),
        (b"\0asm\x0d\0\1\0", "its version is 0d 00 01 00"),
        (plugin(imports=[("env", "proxy_redis_init")]), "lacks env.proxy_redis_init"),
        (plugin(abis=[]), "exports no proxy_abi_version_*"),
    ],
)
def test_what_agent_or_envoy_would_not_load_says_so(tmp_path: Path, content: bytes, told: str) -> None:
    examined = examine_file(written(tmp_path, "file", content))
    assert not examined.loadable
    assert any(told in problem.what for problem in examined.problems), examined.problems
    assert all(problem.hint and "push the image again" not in problem.hint for problem in examined.problems)


def test_a_file_over_256_mb_is_not_loadable_and_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.wasm"
    with path.open("wb") as file:
        file.write(MODULE)
        file.truncate(MAX_BYTES + 1)
    examined = examine_file(path)
    (problem,) = examined.problems
    assert "no more than 256 MiB" in problem.what
    assert examined.as_dict()["size_bytes"] == MAX_BYTES + 1


def test_a_link_in_an_archive_is_not_followed(tmp_path: Path) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        link = tarfile.TarInfo("plugin.wasm")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    examined = examine_file(written(tmp_path, "plugin.tar.gz", made.getvalue()))
    assert not examined.loadable and "not a regular file" in examined.problems[0].what


@pytest.mark.parametrize("manifest", [b"", b"[]", b"no json", b'{"layers": 1}', b'{"layers": [1, {}]}'])
def test_an_odd_manifest_has_no_known_format(manifest: bytes) -> None:
    layout = read_layout(manifest, "00")
    assert layout.format == "unknown"
    json.dumps(layout.as_dict())
