"""The command line's options: what the parts are started with, and what a run refuses before it starts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sim.agent
import sim.commands.alone
import sim.discovery
from sim.cli import main
from sim.errors import InvalidInput
from sim.scenario.external import OURS, ExternalParts
from sim.scenario.load import load_scenario

ROOT = Path(__file__).parents[2]
Main = Callable[..., int]


@pytest.fixture
def ecdsim(monkeypatch: pytest.MonkeyPatch) -> Main:
    def run(*words: object) -> int:
        monkeypatch.setattr(sys, "argv", ["ecdsim", *map(str, words)])
        return main()

    return run


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The options of the parts that would have been started."""
    seen: list[Any] = []

    def recorder(made: Callable[..., Any]) -> Callable[..., Any]:
        def record(*args: Any, **fields: Any) -> Any:
            seen.append(made(*args, **fields))
            return seen[-1]

        return record

    monkeypatch.setattr(sim.agent, "AgentOptions", recorder(sim.agent.AgentOptions))
    monkeypatch.setattr(sim.discovery, "DiscoveryOptions", recorder(sim.discovery.DiscoveryOptions))
    monkeypatch.setattr(sim.commands.alone, "run_alone", lambda *_, **__: 0)
    return seen


DISCOVERY = ("discovery", "--mcp", "127.0.0.1:1", "--listen", "127.0.0.1:0")


def agent(folder: Path) -> tuple[object, ...]:
    return "agent", "--discovery", "127.0.0.1:1", "--listen", "127.0.0.1:0", "--data-dir", folder / "modules"


def test_discovery_has_istios_defaults(ecdsim: Main, started: list[Any]) -> None:
    assert ecdsim(*DISCOVERY) == 0
    (options,) = started
    assert (options.debounce.after_s, options.debounce.max_s) == (0.1, 10.0)
    assert (options.profile.name, options.mcp_address, options.listen) == ("higress", "127.0.0.1:1", "127.0.0.1:0")


def test_istios_variables_are_discoverys_too_and_flags_win(
    ecdsim: Main, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PILOT_DEBOUNCE_AFTER", "500us")
    monkeypatch.setenv("PILOT_DEBOUNCE_MAX", "1m30s")
    ecdsim(*DISCOVERY)
    ecdsim(*DISCOVERY, "--debounce-after", "0s", "--profile", "istio-1.27")
    by_variable, by_flag = started
    assert (by_variable.debounce.after_s, by_variable.debounce.max_s) == (0.0005, 90)
    assert (by_flag.debounce.after_s, by_flag.debounce.max_s) == (0, 90)
    assert by_flag.profile.name == "istio-1.27"


def test_the_agent_has_istios_defaults(ecdsim: Main, started: list[Any], tmp_path: Path) -> None:
    assert ecdsim(*agent(tmp_path)) == 0
    (options,) = started
    usual = sim.agent.FetchOptions()
    assert options.fetch == usual
    assert (options.module_expiry_s, options.purge_interval_s) == (86400, 3600)
    assert options.fixed == frozenset()


def test_istios_variables_are_the_agents_too_and_flags_win(
    ecdsim: Main, started: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "WASM_INSECURE_REGISTRIES": "a.example.com,b.example.com:5000",
        "WASM_MODULE_EXPIRY": "1h30m",
        "WASM_PURGE_INTERVAL": "10s",
        "WASM_HTTP_REQUEST_TIMEOUT": "2s",
        "WASM_HTTP_REQUEST_MAX_RETRIES": "3",
    }.items():
        monkeypatch.setenv(name, value)
    ecdsim(*agent(tmp_path))
    ecdsim(*agent(tmp_path), "--insecure-registries", "*", "--module-expiry", "1s", "--fixed", "purge-in-use")
    by_variable, by_flag = started
    assert by_variable.fetch.insecure_registries == {"a.example.com", "b.example.com:5000"}
    assert (by_variable.module_expiry_s, by_variable.purge_interval_s) == (5400, 10)
    assert (by_variable.fetch.timeout_s, by_variable.fetch.max_retries) == (2, 3)
    assert "whatever.example.com" in by_flag.fetch.insecure_registries
    assert (by_flag.module_expiry_s, by_flag.purge_interval_s) == (1, 10)
    assert by_flag.fixed == {"purge-in-use"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("discovery", "--mcp", "15010", "--listen", "127.0.0.1:0"), "such as 127.0.0.1:15010"),
        ((*DISCOVERY, "--profile", "higres"), "use one of higress"),
        ((*DISCOVERY, "--debounce-after", "100"), "such as 100ms"),
        (("core", "--listen", "127.0.0.1:0", "--manifests", "/nonexistent"), "/nonexistent does not exist"),
        (("core", "--listen", "127.0.0.1:0", "--manifests", ROOT / "README.md"), "is no folder"),
        (("core", "--listen", "127.0.0.1:0", "--manifests", ROOT / "docs"), "no manifest"),
        (("core", "--listen", "127.0.0.1:0", "--manifests", ROOT, "--upstream", "localhost:80"), "no IP address"),
        (("registry", "--listen", "127.0.0.1:0"), "--data-dir"),
        (("run", ROOT / "scenarios" / "tag-bump", "--fixed", "purge-in-used"), "did you mean purge-in-use?"),
        (("run", ROOT / "scenarios" / "tag-bump", "--with", "agent=127.0.0.1:1"), "one of core, discovery, registry"),
    ],
)
def test_what_can_not_be_meant_ends_with_2_and_says_what_can(
    ecdsim: Main, capsys: pytest.CaptureFixture[str], words: tuple[object, ...], told: str
) -> None:
    assert ecdsim(*words) == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_a_variable_that_is_no_duration_is_named(
    ecdsim: Main, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PILOT_DEBOUNCE_AFTER", "soon")
    assert ecdsim(*DISCOVERY) == 2
    told = capsys.readouterr().err
    assert "PILOT_DEBOUNCE_AFTER" in told and "'soon' is not a duration" in told


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--fixed", "everything"), "has no bug named everything"),
        (("--purge-interval", "0s"), "no time at all"),
        (("--http-request-max-retries", "0"), "x>=1"),
        (("--node-id", "router~1"), "add --bootstrap FILE"),
        (("--labels", "a=b"), "add --bootstrap FILE"),
    ],
)
def test_what_the_agent_can_not_do_ends_with_2(
    ecdsim: Main, capsys: pytest.CaptureFixture[str], tmp_path: Path, more: tuple[str, ...], told: str
) -> None:
    assert ecdsim(*agent(tmp_path), *more) == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_a_data_directory_that_can_not_be_made_ends_with_3(
    ecdsim: Main, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert ecdsim("registry", "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "file" / "x") == 3
    assert ecdsim(*agent(tmp_path / "file")) == 3
    assert capsys.readouterr().err.count("--data-dir: ") == 2


# -- run --with ---------------------------------------------------------------------------------------------------

GATEWAY = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {name: look, title: {en: Only look}}
spec:
  gateway: {port: 18080}
  steps:
  - request: {path: /}
"""


def test_the_parts_that_may_be_elsewhere_are_read() -> None:
    assert ExternalParts.parse([]) == OURS
    found = ExternalParts.parse(["registry=127.0.0.1:5000", "core=[::1]:15010"])
    assert found == ExternalParts(core="[::1]:15010", registry="127.0.0.1:5000")
    assert OURS.own_core and not found.own_core


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["agent=127.0.0.1:1"], "'agent' is no part that can be replaced"),
        (["cor=127.0.0.1:1"], "did you mean core?"),
        (["core"], "is no address"),
        (["core=15010"], "is no address"),
        (["core=a:0"], "is no address"),
        (["core=a:1", "core=b:1"], "given twice"),
        (["core=a:1", "discovery=b:1"], "start that Discovery with --mcp a:1"),
    ],
)
def test_what_can_not_be_used_is_refused(texts: list[str], told: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        ExternalParts.parse(texts)
    assert told in str(raised.value)


@pytest.mark.parametrize("part", ["core", "discovery"])
def test_steps_that_change_manifests_need_a_core_of_our_own(part: str) -> None:
    loaded = load_scenario(ROOT / "scenarios" / "tag-bump")
    with pytest.raises(InvalidInput, match=rf"scenario.yaml:\d+.*a step apply changes manifests.*--with {part}=a:1"):
        ExternalParts.parse([f"{part}=a:1"]).check(loaded)
    ExternalParts.parse(["registry=a:1"]).check(loaded)


def test_with_an_external_core_the_scenario_names_the_gateways_port(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    external = ExternalParts.parse(["core=a:1"])
    file.write_text(GATEWAY)
    external.check(load_scenario(file))
    file.write_text(GATEWAY.replace("  gateway: {port: 18080}\n", ""))
    with pytest.raises(InvalidInput, match="--gateway-port of that Core"):
        external.check(load_scenario(file))


@pytest.mark.parametrize(
    ("event", "silent"), [("core.mcp_push", {"core", "discovery"}), ("discovery.push", {"discovery"})]
)
def test_events_of_a_part_that_is_elsewhere_never_come(tmp_path: Path, event: str, silent: set[str]) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(GATEWAY + f"  - wait: {{event: {event}}}\n")
    for part in ("core", "discovery"):
        external = ExternalParts.parse([f"{part}=a:1"])
        if part in silent:
            with pytest.raises(InvalidInput, match=f"the event {event} is of a part that is not ours"):
                external.check(load_scenario(file))
        else:
            external.check(load_scenario(file))


def test_asking_for_help_imports_no_part() -> None:
    program = (
        "import sys, sim.cli; "
        "heavy = {'grpc', 'pydantic', 'rich', 'aiohttp', 'structlog', 'google.protobuf'} & set(sys.modules); "
        "print(sorted(heavy))"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"
