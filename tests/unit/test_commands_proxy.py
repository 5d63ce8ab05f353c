"""`proxy-config` and `proxy-status`: their names, where they read from, and what they say of bad input."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sim.cli import main

Ecdsim = Callable[..., int]
VARIABLE = "ECDSIM_DISCOVERY_DEBUG"
ADMIN = "type.googleapis.com/envoy.admin.v3."
WASM = "envoy.extensions.filters.http.wasm.v3.Wasm"
EXTENSION = {"name": "ns.a", "typed_config": {"@type": f"type.googleapis.com/{WASM}"}}
DUMP: dict[str, Any] = {
    "configs": [
        {
            "@type": f"{ADMIN}ClustersConfigDump",
            "dynamic_active_clusters": [
                {"cluster": {"name": "outbound|80||a.ns", "type": "EDS"}},
                {"cluster": {"name": "outbound|81||b.ns", "type": "EDS"}},
            ],
        },
        {"@type": f"{ADMIN}EcdsConfigDump", "ecds_filters": [{"version_info": "v1", "ecds_filter": EXTENSION}]},
        {
            "@type": f"{ADMIN}ListenersConfigDump",
            "static_listeners": [
                {"listener": {"address": {"socket_address": {"port_value": 80}}, "filter_chains": [{"name": "c"}]}}
            ],
        },
        {
            "@type": f"{ADMIN}RoutesConfigDump",
            "static_route_configs": [
                {"route_config": {"name": "http.80", "virtual_hosts": [{"name": "h", "domains": ["*"]}]}}
            ],
        },
    ]
}


@pytest.fixture
def ecdsim(monkeypatch: pytest.MonkeyPatch) -> Ecdsim:
    monkeypatch.delenv(VARIABLE, raising=False)

    def run(*words: object) -> int:
        monkeypatch.setattr(sys, "argv", ["ecdsim", *map(str, words)])
        return main()

    return run


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    (tmp_path / "config_dump.json").write_text(json.dumps(DUMP))
    return tmp_path


@pytest.mark.parametrize(
    ("names", "header"),
    [
        (("ecds", "ec"), "ECDS NAME TYPE"),
        (("listeners", "listener", "l"), "ADDRESSES PORT MATCH DESTINATION"),
        (("routes", "route", "r"), "NAME VHOST NAME DOMAINS MATCH VIRTUAL SERVICE"),
        (("clusters", "cluster", "c"), "SERVICE FQDN PORT SUBSET DIRECTION TYPE DESTINATION RULE"),
    ],
)
def test_each_table_answers_to_istioctls_names(
    ecdsim: Ecdsim, run_directory: Path, capsys: pytest.CaptureFixture[str], names: tuple[str, ...], header: str
) -> None:
    said = set()
    for group in ("proxy-config", "pc"):
        for name in names:
            assert ecdsim(group, name, "-f", run_directory) == 0
            said.add(capsys.readouterr().out)
    (table,) = said
    assert " ".join(table.splitlines()[0].split()) == header
    assert len(table.splitlines()) > 1


def test_the_help_names_the_aliases(ecdsim: Ecdsim, capsys: pytest.CaptureFixture[str]) -> None:
    ecdsim("--help")
    told = capsys.readouterr().out
    assert "proxy-config, pc " in told and "proxy-status, ps " in told
    ecdsim("pc", "--help")
    told = capsys.readouterr().out
    assert "ecds, ec " in told and "listeners, listener, l " in told
    ecdsim("pc", "ec", "--help")
    assert "Usage: ecdsim proxy-config ecds" in capsys.readouterr().out


def test_a_dump_comes_from_a_file_a_run_directory_or_stdin(
    ecdsim: Ecdsim,
    run_directory: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(json.dumps(DUMP).encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    for source in (run_directory, run_directory / "config_dump.json", "-"):
        assert ecdsim("pc", "ecds", "-f", source) == 0
        assert capsys.readouterr().out.splitlines()[1].split() == ["ns.a", WASM]


def test_a_run_of_several_gateways_has_a_dump_of_each(
    ecdsim: Ecdsim, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("blue", "green"):
        folder = tmp_path / "gateways" / name
        folder.mkdir(parents=True)
        (folder / "config_dump.json").write_text(json.dumps(DUMP).replace("ns.a", f"ns.{name}"))
    for proxy in ("green", "green.higress-system"):
        assert ecdsim("pc", "ec", proxy, "-f", tmp_path) == 0
        assert capsys.readouterr().out.splitlines()[1].split()[0] == "ns.green"
    for words in ((), ("red",)):
        assert ecdsim("pc", "ec", *words, "-f", tmp_path) == 2
        assert "name one of blue, green" in capsys.readouterr().err
    (tmp_path / "gateways" / "blue" / "config_dump.json").unlink()
    assert ecdsim("pc", "ec", "-f", tmp_path) == 0


def test_a_single_dump_has_no_proxy_to_pick(
    ecdsim: Ecdsim, run_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for source in (run_directory, run_directory / "config_dump.json", "-"):
        assert ecdsim("pc", "ec", "gw-1", "-f", source) == 2
        assert "'gw-1' says nothing" in capsys.readouterr().err


def test_programs_get_the_resources_as_they_stand_in_the_dump(
    ecdsim: Ecdsim, run_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ecdsim("pc", "ec", "-f", run_directory, "-o", "json")
    assert json.loads(capsys.readouterr().out) == {"ecds_filters": [{"version_info": "v1", "ecds_filter": EXTENSION}]}
    ecdsim("pc", "clusters", "--port", "81", "-f", run_directory, "-o", "json")
    assert json.loads(capsys.readouterr().out) == [{"name": "outbound|81||b.ns", "type": "EDS"}]
    ecdsim("pc", "routes", "--name", "http.81", "-f", run_directory, "-o", "json")
    assert json.loads(capsys.readouterr().out) == []
    ecdsim("pc", "listeners", "--port", "80", "-f", run_directory, "-o", "yaml")
    assert "port_value: 80" in capsys.readouterr().out


def test_a_table_of_nothing_has_its_header(
    ecdsim: Ecdsim, run_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ecdsim("pc", "clusters", "--fqdn", "nowhere", "-f", run_directory) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "no configuration dump: it has no list `configs`"),
        ('{"configs": []}', "has no EcdsConfigDump hint: Envoy has one as soon as a listener names a plugin"),
        ('{"configs": [{"@type": "other"}]}', "save the whole /config_dump, without ?resource="),
    ],
)
def test_a_file_that_is_no_dump_ends_with_2_and_is_named(
    ecdsim: Ecdsim, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, told: str
) -> None:
    file = tmp_path / "dump.json"
    file.write_text(content)
    assert ecdsim("pc", "ecds", "-f", file) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert told in said and str(file) in said


def test_a_file_or_run_directory_that_is_not_there_ends_with_2(
    ecdsim: Ecdsim, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ecdsim("pc", "ecds", "-f", tmp_path / "nope.json") == 2
    assert "name a file, or a run directory" in capsys.readouterr().err
    assert ecdsim("pc", "ecds", "-f", tmp_path) == 2
    told = capsys.readouterr().err
    assert f"{tmp_path}/config_dump.json" in told and "only a run that got as far as Envoy has one" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("pc", "ecds"), "--discovery-debug HOST:PORT"),
        (("ps",), f"set {VARIABLE}"),
        (("pc", "ecds", "--admin", "127.0.0.1:1", "-f", "x"), "-f and --admin exclude each other"),
        (("pc", "ecds", "gw-1.team", "--admin", "127.0.0.1:1"), "'gw-1.team' says nothing"),
        (("pc", "ecds", "--admin", "15000"), "such as 127.0.0.1:15010"),
        (("pc", "eds"), "No such command 'eds'"),
    ],
)
def test_what_can_not_be_meant_ends_with_2(
    ecdsim: Ecdsim, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    assert ecdsim(*words) == 2
    assert told in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("ps", "--discovery-debug", "127.0.0.1:1"), "Discovery's debug port at 127.0.0.1:1 does not answer"),
        (("pc", "r", "--discovery-debug", "127.0.0.1:1"), "start it with --debug-listen"),
        (("pc", "r", "--admin", "127.0.0.1:1"), "Envoy's admin interface at 127.0.0.1:1 does not answer"),
    ],
)
def test_an_address_where_nobody_answers_ends_with_3(
    ecdsim: Ecdsim, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    assert ecdsim(*words) == 3
    assert told in " ".join(capsys.readouterr().err.split())


def test_the_variable_gives_way_to_a_flag_and_two_flags_do_not(
    ecdsim: Ecdsim, run_directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "127.0.0.1:1")
    assert ecdsim("pc", "ecds", "-f", run_directory) == 0
    assert ecdsim("pc", "ecds", "-f", run_directory, "--discovery-debug", "127.0.0.1:1") == 2
    assert "-f and --discovery-debug exclude each other" in capsys.readouterr().err
    assert ecdsim("pc", "ecds") == 3
