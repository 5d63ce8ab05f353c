"""A run's streams are recorded and replayed; a gateway's dump becomes a scenario."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import SCENARIOS, Ended

pytestmark = pytest.mark.e2e

Run = Callable[..., Ended]


def test_what_a_run_has_recorded_is_said_again_by_our_discovery(ecdsim: Run) -> None:
    ended = ecdsim("run", SCENARIOS / "tag-bump", "-q", "-o", "json", "--record", "all")
    assert ended.status == 0, ended.stderr
    directory = Path(ended.result["directory"])
    assert sorted(found.stem for found in (directory / "streams").iterdir()) == [
        "agent-envoy", "core-discovery", "discovery-agent",
    ]  # fmt: skip
    for hop, speed in (("core-discovery", "max"), ("discovery-agent", "2")):
        replayed = ecdsim("replay", directory, "--hop", hop, "--speed", speed, "-o", "json")
        assert replayed.status == 0, replayed.stdout + replayed.stderr
        assert replayed.result == {"hop": hop, "streams": 1, "differences": []}

    # Another profile sends something else.
    result = json.loads((directory / "result.json").read_text(encoding="utf-8"))
    (directory / "result.json").write_text(json.dumps({**result, "profile": "higress-1.19"}), encoding="utf-8")
    replayed = ecdsim("replay", directory, "--hop", "discovery-agent", "--within", "2s", "-o", "json")
    assert replayed.status == 1
    assert replayed.result["differences"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--hop", "agent-envoy"], "write --listen"),
        (["--hop", "core-discovery", "--to", "127.0.0.1:1", "--listen", "127.0.0.1:0"], "play one side"),
        (["--hop", "discovery-agent", "--speed", "max"], "write a number"),
        (["--hop", "core-discovery", "--speed", "fast"], "write a number such as 2"),
    ],
)
def test_what_can_not_be_replayed_is_refused(words: list[str], told: str, ecdsim: Run, tmp_path: Path) -> None:
    (tmp_path / "streams").mkdir()
    for hop in ("agent-envoy", "core-discovery", "discovery-agent"):
        (tmp_path / "streams" / f"{hop}.jsonl").write_text("", encoding="utf-8")
    ended = ecdsim("replay", tmp_path, *words)
    assert ended.status == 2
    assert told in ended.stderr


def test_a_run_without_a_recording_says_how_to_make_one(ecdsim: Run, tmp_path: Path) -> None:
    ended = ecdsim("replay", tmp_path, "--hop", "agent-envoy")
    assert ended.status == 2
    assert "ecdsim run … --record agent-envoy" in ended.stderr


def test_a_gateways_dump_becomes_a_scenario_with_the_same_chain(ecdsim: Run, tmp_path: Path) -> None:
    first = ecdsim("run", SCENARIOS / "first-plugin", "-q", "-o", "json")
    assert first.status == 0, first.stderr
    dump = Path(first.result["directory"]) / "config_dump.json"
    made = tmp_path / "imported"
    imported = ecdsim("import", dump, "--out", made)
    assert imported.status == 0, imported.stderr
    assert "marker stands in" in imported.stderr
    again = ecdsim("run", made, "-q", "-o", "json")
    assert again.status == 0, again.stderr
    wanted, got = (_chain(path) for path in (dump, Path(again.result["directory"]) / "config_dump.json"))
    assert got == wanted
    refused = ecdsim("import", dump, "--out", made)
    assert refused.status == 2 and "is there already" in refused.stderr


def _chain(dump: Path) -> list[tuple[str, object]]:
    """Each plugin of the gateway, with its configuration."""
    configs = json.loads(dump.read_text(encoding="utf-8"))["configs"]
    ecds = next(section for section in configs if section["@type"].endswith("EcdsConfigDump"))
    filters = [entry["ecds_filter"] for entry in ecds["ecds_filters"]]
    return [(each["name"], each["typed_config"]["config"]["configuration"]) for each in filters]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"configs": []}', "not JSON"])
def test_what_is_no_dump_is_refused(content: str, ecdsim: Run, tmp_path: Path) -> None:
    (tmp_path / "dump.json").write_text(content, encoding="utf-8")
    ended = ecdsim("import", tmp_path / "dump.json", "--out", tmp_path / "made")
    assert ended.status == 2
    assert "hint:" in ended.stderr and not (tmp_path / "made").exists()
