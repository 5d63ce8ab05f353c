"""The Mermaid diagram: the nine steps of one rollout, and nothing of a manifest that Mermaid could read as its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import EnvironmentProblem, InvalidInput
from sim.report.export.mermaid import SHOWN_REQUESTS, mermaid, write_mermaid
from sim.report.export.mermaid_text import LONGEST, mermaid_text
from sim.report.phrases import clean
from sim.scenario.result import Stages
from tests.unit.report.export.rollout_run import PASSWORD, Ending, a_run, bump_events, bump_rollout, event
from tests.unit.report.results import IMAGE

#: What GitHub renders at most.
GITHUB_CHARACTERS = 50_000
HOSTILE = 'x;\nA->>E: forged %%{init: {}}%% <script>alert("1")</script> #quot; end'


def shown(diagram: str) -> list[str]:
    """The lines as a reader sees them."""
    return [re.sub(r"#(\d+);", lambda code: chr(int(code[1])), line.strip()) for line in diagram.splitlines()]


def shape(diagram: str) -> list[str]:
    """Each line without its text; every one has to be of a kind that we write."""
    found = []
    for line in diagram.splitlines()[1:]:
        match = re.match(r"    (\w(?:-{1,2}>>|-{1,2}x)\w: |Note over [\w,]+: |participant \w as \w+$|title )", line)
        assert match is not None, line
        found.append(match[1])
    return found


def test_a_rollout_is_told_by_its_nine_steps_with_their_times(tmp_path: Path) -> None:
    assert shown(mermaid(a_run(tmp_path))) == [
        "sequenceDiagram",
        "title higress-system/request-block · rollouts[0]",
        "participant W as WasmPlugin",
        "participant C as Core",
        "participant D as Discovery",
        "participant A as agent",
        "participant R as registry",
        "participant E as Envoy",
        "participant T as traffic",
        "W->>C: 1 apply registry.local/plugins/request-block:1.0.0 → 2.0.0",
        "C->>C: 1 convert Higress → Istio · 0.30 ms",
        "C->>D: 2 Istio WasmPlugin, MCP over xDS · 1.70 ms",
        "D->>D: 2 debounce · 100.0 ms",
        "D->>A: 3 LDS, same bytes",
        "A->>E: 4 LDS as it is",
        "Note over E: 5 subscribed already",
        "D->>A: 6 ECDS, registry.local/plugins/request-block:2.0.0 · 3.00 ms",
        "A->>R: 7 pull · 4.00 ms",
        "R-->>A: 7 200 to GET /v2/",
        "R-->>A: 7 200 to GET manifests/2.0.0",
        "R-->>A: 7 200 to GET blobs/sha256:4159fb68a845…",
        "A->>A: 8 unpack, rewrite to a local file · 1.20 ms",
        "A->>E: 8 ECDS with the local file · 0.30 ms",
        "E->>E: 9 load · 9.50 ms",
        "Note over E: 9 worker 0 at +120.0 ms, worker 1 at +121.0 ms",
        "E-->>A: 9 ACK",
        "E-->>T: 9 first new response · 5.00 ms",
        "Note over W,T: effective after 125.0 ms, settled after 130.0 ms",
    ]


def test_a_nack_by_envoy_is_a_crossed_arrow_with_its_reason(tmp_path: Path) -> None:
    lines = shown(mermaid(a_run(tmp_path, "nacked")))
    assert "E--xA: 9 ✗ NACK, it can't be done" in lines
    assert lines[-1] == "Note over W,T: ✗ it can't be done"
    assert not any("ACK" in line and "NACK" not in line for line in lines)


def test_a_pull_that_failed_shows_the_registrys_answer_and_the_agents_nack(tmp_path: Path) -> None:
    lines = shown(mermaid(a_run(tmp_path, "not pulled")))
    at = lines.index("R--xA: 7 ✗ 404 to GET manifests/2.0.0")
    assert lines[at + 1 :] == [
        "A-xA: 7 ✗ the pull failed, it can't be done",
        "A--xD: 8 ✗ NACK, it can't be done",
        "Note over W,T: ✗ it can't be done",
    ]


def test_what_takes_the_plugins_place_is_told(tmp_path: Path) -> None:
    run = a_run(tmp_path, "not pulled", rollouts=[bump_rollout("not pulled", replaced_by="allow_all", nacked=False)])
    assert "A-xA: 8 ✗ allow-all in the plugin's place" in shown(mermaid(run))


def test_a_module_from_the_cache_is_not_pulled(tmp_path: Path) -> None:
    events = [each for each in bump_events() if each.event not in ("agent.fetch", "agent.unpack", "registry.request")]
    stages = Stages(convert=0.3, mcp=1.7, debounce=100, push=3, rewrite=0.2, deliver=0.3, load=9.5)
    run = a_run(tmp_path, events=events, rollouts=[bump_rollout(cached=True, stages_ms=stages)])
    lines = shown(mermaid(run))
    assert "Note over A: 7 from the cache" in lines
    assert "A->>A: 8 rewrite to a local file · 0.20 ms" in lines
    assert "participant R as registry" not in lines


def test_a_conversion_that_failed_ends_the_diagram(tmp_path: Path) -> None:
    convert = next(n for n, each in enumerate(bump_events()) if each.event == "core.convert" and each.span != "started")
    events = bump_events()[: convert + 1]
    events[convert].span = "failed"
    events[convert].data["error"] = "no ingress"
    run = a_run(tmp_path, events=events, rollouts=[bump_rollout("nacked", nacked=False, error="no ingress")])
    assert shown(mermaid(run))[-2:] == [
        "C-xC: 1 ✗ the conversion failed, no ingress",
        "Note over W,T: ✗ no ingress",
    ]


def test_a_removal_needs_no_ecds(tmp_path: Path) -> None:
    kept = ("core.apply", "core.convert", "core.mcp_push", "discovery.received", "discovery.debounce")
    events = [each for each in bump_events() if each.event in kept or (each.type_url or "").endswith("Listener")]
    gone = bump_rollout(change="remove", to=None, stages_ms=Stages(convert=0.3), listener_updates=1)
    lines = shown(mermaid(a_run(tmp_path, events=events, rollouts=[gone])))
    assert "Note over D,A: 6 LDS alone removes a plugin" in lines
    assert "D->>A: 3 LDS" in lines
    assert not any(" 8 " in line for line in lines)
    assert lines[-2].startswith("E-->>T: 9 first response without it")


def test_the_rollout_may_be_chosen(tmp_path: Path) -> None:
    later = event(1500, "core.apply", plugin="team/other", image=IMAGE + "9.0.0", change="created")
    rollouts = [bump_rollout(), bump_rollout("nacked", plugin="team/other", t_ns=later.t_ns)]
    run = a_run(tmp_path, events=[*bump_events(), later], rollouts=rollouts)
    assert "title team/other · rollouts[1]" in shown(mermaid(run))
    assert "title higress-system/request-block · rollouts[0]" in shown(mermaid(run, 0))
    with pytest.raises(
        InvalidInput, match=r"no rollouts\[2\].*\n.*0 \(higress-system/request-block\), 1 \(team/other\)"
    ):
        mermaid(run, 2)


def test_a_run_without_that_rollout_in_its_trace_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="the trace does not tell"):
        mermaid(a_run(tmp_path, events=bump_events()[:3]))
    with pytest.raises(InvalidInput, match="has no rollout"):
        mermaid(a_run(tmp_path, rollouts=[]))


def test_many_requests_are_counted_not_shown(tmp_path: Path) -> None:
    again = [
        event(1105.3 + n / 10, "registry.request", method="GET", path="/v2/", status=503, duration_ms=0.01)
        for n in range(30)
    ]
    lines = shown(mermaid(a_run(tmp_path, "not pulled", events=[*bump_events("not pulled"), *again])))
    assert sum(line.startswith("R-") for line in lines) == SHOWN_REQUESTS
    assert "Note over A,R: 7 26 more requests" in lines


def test_requests_of_other_pulls_at_the_same_time_are_left_out(tmp_path: Path) -> None:
    image = "oci://registry.local/plugins/other:1.0.0"
    other = [
        event(1104, "agent.fetch", span="started", span_id=50, plugin="team/other", image=image),
        event(1106.5, "registry.request", method="GET", path="/v2/plugins/other/manifests/1.0.0", status=200),
        event(1120, "agent.fetch", span="completed", span_id=50, plugin="team/other", image=image),
    ]
    lines = shown(mermaid(a_run(tmp_path, events=[*bump_events(), *other])))
    assert [line for line in lines if line.startswith("R-")] == [
        "R-->>A: 7 200 to GET manifests/2.0.0",
        "R-->>A: 7 200 to GET blobs/sha256:4159fb68a845…",
    ]


@pytest.mark.parametrize("ending", ["works", "nacked", "not pulled"])
def test_nothing_of_a_manifest_changes_the_diagrams_shape(tmp_path: Path, ending: Ending) -> None:
    plugin, image = f"higress-system/{HOSTILE}", f"oci://{HOSTILE}/x:{HOSTILE}"
    events = bump_events(ending, plugin=plugin, image=image, error=HOSTILE * 50)
    rollouts = [bump_rollout(ending, plugin=plugin, to=image, error=HOSTILE * 50)]
    hostile = mermaid(a_run(tmp_path, events=events, rollouts=rollouts))
    tame = mermaid(a_run(tmp_path / "tame", ending))
    # The registry's answers are of another repository by then, so they are not taken for this pull's.
    kept = [each for each in shape(tame) if not each.startswith("R-")]
    assert [each for each in shape(hostile) if not each.startswith("R-")] == kept
    assert len(hostile) < GITHUB_CHARACTERS


@given(st.text(max_size=200))
def test_whatever_the_text_only_entity_codes_and_harmless_characters_come_out(text: str) -> None:
    escaped = mermaid_text(text)
    assert not re.search(r"[;#%<>{}:\"`$&\\\n\r|^~*\[\]@]", re.sub(r"#\d+;", "", escaped.replace("@", "")))
    expected = " ".join(clean(text).split())
    assert shown(escaped + "\n") == [expected] if len(expected) <= LONGEST else escaped.endswith("…")


def test_secrets_stay_behind(tmp_path: Path) -> None:
    events = bump_events("nacked", error=f"robot:{PASSWORD} was refused")
    text = mermaid(a_run(tmp_path, events=events, rollouts=[bump_rollout("nacked", error=f"by {PASSWORD}")]))
    assert "was refused" in text and PASSWORD not in text


def test_a_markdown_file_gets_a_code_block(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    write_mermaid(run, tmp_path / "a.md")
    write_mermaid(run, tmp_path / "a.mmd")
    bare = (tmp_path / "a.mmd").read_text(encoding="utf-8")
    assert bare.startswith("sequenceDiagram\n")
    assert (tmp_path / "a.md").read_text(encoding="utf-8") == f"```mermaid\n{bare}```\n"
    with pytest.raises(EnvironmentProblem, match="can't write"):
        write_mermaid(run, tmp_path / "nowhere" / "a.md")
