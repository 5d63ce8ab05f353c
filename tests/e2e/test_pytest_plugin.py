"""The pytest plugin on real runs: in the test's own task, in a thread, from a scenario file, with every way to fail."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.e2e.conftest import SCENARIOS
from tests.e2e.test_command_line import processes_of

pytestmark = pytest.mark.e2e
pytest_plugins = "pytester"

GATEWAY = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {name: gateway, title: {en: A gateway for two versions}}
spec:
  gateway: {workers: 1}
  images: [{plugin: request-block, tag: 1.0.0}, {plugin: request-block, tag: 2.0.0}]
  traffic: {users: {rate: 100/s}}
  expect: [traffic.users.failed == 0]
"""
BLOCK = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {name: NAME, labels: [incident], title: {en: A plugin that blocks}}
spec:
  gateway: {workers: 1}
  images: [{plugin: request-block, tag: 1.0.0}]
  steps:
  - apply: request-block.yaml
  - wait: {acked: higress-system/request-block}
  - request: {path: /swagger.html, within: 5s, expect: {status: STATUS}}
  expect:
  - rollouts[0].acked
"""
#: In a project's own tests: the Envoy of a run dies as if by itself.
CRASH = """
import os, signal
from pathlib import Path

def crash_envoy(run):
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().decode().split("\\0")
            except OSError:
                continue
            if words[0].endswith("envoy") and str(run.directory / "bootstrap.json") in words:
                os.kill(int(entry.name), signal.SIGKILL)
                return
    raise AssertionError("no Envoy")
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with warnings as errors, without pytest-asyncio; what runs leave behind would be in its `tmp`."""
    pytester.makeini("[pytest]\naddopts = -p no:asyncio -p no:cacheprovider\nfilterwarnings = error\n")
    (pytester.path / "gateway.yaml").write_text(GATEWAY, encoding="utf-8")
    shutil.copy(SCENARIOS / "tag-bump" / "request-block.yaml", pytester.path)
    pytester.makepyfile(crash=CRASH)
    (pytester.path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(pytester.path / "tmp"))
    return pytester


def left_behind(project: pytest.Pytester) -> list[object]:
    """Processes and temporary files that are still there."""
    files = [path for path in (project.path / "tmp").iterdir() if not path.name.startswith("pytest-of-")]
    return [*processes_of(project.path), *files]


def test_coroutines_drive_runs_in_their_own_task_under_pytest_asyncio(project: pytest.Pytester) -> None:
    project.makeini(
        "[pytest]\naddopts = -p no:cacheprovider\nfilterwarnings = error\nasyncio_mode = strict\n"
        "asyncio_default_fixture_loop_scope = function\n"
    )
    project.makepyfile(
        """
        import asyncio, pytest
        from crash import crash_envoy

        pytestmark = pytest.mark.asyncio

        async def test_good(ecdsim):
            async with ecdsim("gateway.yaml") as run:
                await run.apply("request-block.yaml")
                await run.wait_settled()
                await run.bump(tag="2.0.0")
                await asyncio.gather(run.wait_settled(), run.wait_event("agent.fetch"))
                assert run.result.rollouts[1].change == "image"
            assert run.result.outcome == "passed"
            assert [each.passed for each in run.result.expectations] == [True]
            assert (run.directory / "result.json").exists()

        async def test_crash(ecdsim):
            async with ecdsim("gateway.yaml") as run:
                crash_envoy(run)
                await run.wait_event("fault.injected", within="60s")

        async def test_own_error(ecdsim):
            async with ecdsim("gateway.yaml", steps=False) as run:
                await run.apply("request-block.yaml")
                raise ValueError("mine")
        """
    )
    outcome = project.runpytest_subprocess()
    outcome.assert_outcomes(passed=1, failed=2)
    outcome.stdout.fnmatch_lines(
        [
            '>           await run.wait_event("fault.injected", within="60s")',
            "E           sim.errors.PartDied: envoy died: exit status -9",
            "E           its last log lines",
            "E             * starting workers",
            ">           raise ValueError(*",
            "E           ValueError: mine",
            "*Captured ecdsim call*",
            "error: */test_own_error0/gateway-*",
        ]
    )
    for noise in ("*CancelledError*", "*ExceptionGroup*", "*/sim/*.py:*"):
        outcome.stdout.no_fnmatch_line(noise)
    assert left_behind(project) == []


def test_plain_functions_drive_runs_in_a_thread(project: pytest.Pytester) -> None:
    text = BLOCK.replace("NAME", "block").replace("STATUS", "404").replace("within: 5s, ", "")
    (project.path / "block.yaml").write_text(text, encoding="utf-8")
    project.makepyfile(
        """
        import time, pytest
        from crash import crash_envoy
        from sim.errors import PartDied

        def test_good(ecdsim):
            with ecdsim.sync("gateway.yaml", faults=True) as run:
                run.fault("agent-registry", latency={"latency": "100ms"})
                run.apply("request-block.yaml")
                run.wait_effective()
                run.check("rollouts[0].stages_ms.fetch > 100")
                assert run.result.rollouts[0].acked
                with pytest.raises(Exception, match="no WasmPlugin"):
                    run.delete("higress-system/other")

        def test_expected(ecdsim):
            spec = {"traffic": {"users": {}}, "expect": ["traffic.users.failed > 3"]}
            with ecdsim.sync(spec) as run:
                run.request("/")

        def test_scenarios_own_step(ecdsim):
            with ecdsim.sync("block.yaml"):
                raise AssertionError("not come to")

        def test_step(ecdsim):
            with ecdsim.sync("block.yaml", steps=False) as run:
                run.request("/", status=404)

        def test_crash(ecdsim):
            with ecdsim.sync("gateway.yaml") as run:
                crash_envoy(run)
                run.wait_event("fault.injected", within="60s")

        def test_crash_elsewhere(ecdsim):
            with pytest.raises(PartDied, match="envoy"):
                with ecdsim.sync("gateway.yaml") as run:
                    crash_envoy(run)
                    while not (run.directory / "result.json").exists():
                        time.sleep(0.01)
                    raise ConnectionError("no gateway")

        def test_crash_that_a_step_meets_first(ecdsim):
            with pytest.raises(PartDied, match="envoy"):
                with ecdsim.sync("gateway.yaml") as run:
                    crash_envoy(run)
                    while True:
                        run.request("/")
        """
    )
    outcome = project.runpytest_subprocess()
    outcome.assert_outcomes(passed=3, failed=4)
    outcome.stdout.fnmatch_lines(
        [
            "E       *ExpectationsFailed: not so: traffic.users.failed > 3  (traffic.users.failed = 0)",
            "E       expectations  0 of 1 hold",
            "E             traffic.users.failed is 0",
            "E             in the trace",
            "E *traffic.first_response load=users status=200*",
            '>       with ecdsim.sync("block.yaml"):',
            "E       sim.errors.StepFailed: step 3 (request path=/swagger.html*): GET /swagger.html: expected *",
            "E       at */block.yaml:10:5",
            '>           run.request("/", status=404)',
            "E           sim.errors.StepFailed: GET /: expected status 404, got 200",
            '>           run.wait_event("fault.injected", within="60s")',
            "E           sim.errors.PartDied: envoy died: exit status -9",
        ]
    )
    for noise in ("*not come to*", "*/sim/*.py:*"):
        outcome.stdout.no_fnmatch_line(noise)
    assert left_behind(project) == []


def test_coroutines_drive_runs_under_anyio(project: pytest.Pytester) -> None:
    pytest.importorskip("anyio.pytest_plugin", reason="ANYIO IS NOT INSTALLED, the fixture under it is not tested")
    project.makepyfile(
        """
        import pytest
        from crash import crash_envoy
        from sim.errors import PartDied

        pytestmark = pytest.mark.anyio

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        async def test_crash(ecdsim):
            with pytest.raises(PartDied):
                async with ecdsim("gateway.yaml") as run:
                    crash_envoy(run)
                    await run.wait_event("fault.injected", within="60s")

        async def test_good(ecdsim):
            async with ecdsim("gateway.yaml") as run:
                await run.apply("request-block.yaml")
                await run.wait_effective()
        """
    )
    project.runpytest_subprocess().assert_outcomes(passed=2)


def test_scenario_files_are_tests_that_xdist_spreads_and_junit_names(project: pytest.Pytester) -> None:
    good = BLOCK.replace("STATUS", "403")
    (project.path / "good.ecdsim.yaml").write_text(good.replace("NAME", "good"), encoding="utf-8")
    bad = good.replace("NAME", "bad").replace("rollouts[0].acked", "size(rollouts) == 7")
    (project.path / "bad.ecdsim.yaml").write_text(bad, encoding="utf-8")
    runs = project.path / "runs"
    outcome = project.runpytest_subprocess("-n2", "-m", "incident", "--junit-xml=j.xml", f"--ecdsim-runs-dir={runs}")
    outcome.assert_outcomes(passed=1, failed=1)
    outcome.stdout.fnmatch_lines(
        [
            "* bad *",
            "expectations  0 of 1 hold",
            "  ✗ size(rollouts) == 7",
            "      size(rollouts) is 1",
            "      */bad.ecdsim.yaml:12  - size(rollouts) == 7",
            "        step 2  wait acked=higress-system/request-block*",
            "FAILED bad.ecdsim.yaml::bad - not so: size(rollouts) == 7*",
        ]
    )
    outcome.stdout.no_fnmatch_line("*Traceback*")
    assert left_behind(project) == []
    cases = {case.attrib["name"]: case for case in ET.parse(project.path / "j.xml").getroot().iter("testcase")}
    assert cases["good"].attrib["classname"] == "good.ecdsim.yaml"
    assert float(cases["good"].attrib["time"]) > 0
    (failure,) = cases["bad"].iter("failure")
    assert failure.attrib["message"].startswith("not so: size(rollouts) == 7")
    (kept,) = [each.attrib["value"] for each in cases["bad"].iter("property") if each.attrib["name"] == "ecdsim_run"]
    assert Path(kept).parent == runs
    assert (Path(kept) / "report.html").exists()


@pytest.mark.parametrize("form", ["async", "sync", "file"])
def test_ctrl_c_ends_pytest_and_leaves_nothing_behind(form: str, project: pytest.Pytester) -> None:
    if form == "file":
        steps = "  - wait: {event: fault.injected, within: 60s}\n"
        text = BLOCK.replace("NAME", "long").partition("  - request")[0] + steps
        (project.path / "long.ecdsim.yaml").write_text(text, encoding="utf-8")
    else:
        a_wait, a_sync, a_def = ("await ", "", "async ") if form == "async" else ("", ".sync", "")
        project.makepyfile(
            f"""
            {a_def}def test_long(ecdsim):
                {a_def}with ecdsim{a_sync}("gateway.yaml") as run:
                    {a_wait}run.apply("request-block.yaml")
                    {a_wait}run.wait_event("fault.injected", within="60s")
            """
        )
    plugin = ["-p", "asyncio", "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "--ecdsim-runs-dir=runs", *(plugin if form == "async" else [])],
        cwd=project.path,
        env=os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until_it_waits(process, project.path / "runs")
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == pytest.ExitCode.INTERRUPTED, told
    assert "KeyboardInterrupt" in told
    assert left_behind(project) == []


def wait_until_it_waits(process: subprocess.Popen[str], runs: Path) -> None:
    """Until the run that is made there is in the middle of its last step, as its trace says."""
    while not any("fault.injected" in trace.read_text(encoding="utf-8") for trace in runs.glob("*/trace.jsonl")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
