from __future__ import annotations

import base64
import hashlib
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from sim.errors import EnvironmentProblem, InvalidInput
from sim.report.html import page as page_module
from sim.report.html import page_data, render_live_page, write_page
from sim.report.html.run_files import read_run
from tests.unit.report.html_run import write_run

ASSETS = Path(page_module.__file__).parent / "static"
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>"


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script id="run" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    decoded: dict[str, Any] = json.loads(found[1])
    return decoded


def page_of(directory: Path, **changes: Any) -> str:
    return write_page(write_run(directory, **changes)).read_text(encoding="utf-8")


def test_the_page_is_report_html_in_the_run_directory_unless_another_place_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    assert write_page(run) == run / "report.html"
    assert write_page(run, tmp_path / "other.html") == tmp_path / "other.html"
    assert (tmp_path / "other.html").read_bytes() == (run / "report.html").read_bytes()


def test_nothing_is_loaded_from_anywhere(tmp_path: Path) -> None:
    page = page_of(tmp_path / "run")
    markup = re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)
    assert re.findall(r"""(?:src|href)\s*=\s*["']?([^"' >]+)""", markup) == ["data:,"]
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)[0]
    assert not re.search(r"https?://|\bfetch\(|XMLHttpRequest|\bimport\b|WebSocket|sendBeacon|innerHTML|eval\(", script)
    style = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)[0]
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_allows_exactly_the_script_and_the_style_that_are_in_the_page(tmp_path: Path) -> None:
    page = page_of(tmp_path / "run")
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert found is not None
    policy = unescape(found[1])
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_a_plugin_with_markup_for_a_name_is_text_and_nothing_else(tmp_path: Path) -> None:
    plugin = f"higress-system/{HOSTILE}".replace("/script", "~script")
    page = page_of(tmp_path / "run", plugin=plugin, image=f"oci://x/{HOSTILE}", text=HOSTILE)
    assert "<img" not in page
    assert page.count("<script") == page.count("</script") == 2
    shown = data_of(page)
    assert shown["items"][0]["plugin"] == plugin
    assert shown["scenario"] == HOSTILE


def test_a_report_has_nothing_of_the_live_page_in_it(tmp_path: Path) -> None:
    page = page_of(tmp_path / "run")
    assert "live" not in data_of(page)
    assert not re.search(r"EventSource|/api/|connect-src", page)


def test_the_live_page_may_ask_its_own_server_and_nobody_else(tmp_path: Path) -> None:
    page, policy = render_live_page(page_data(read_run(write_run(tmp_path / "run"))), "a-token")
    assert data_of(page)["live"] == {"token": "a-token"}
    assert policy.endswith("; connect-src 'self'")
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert found is not None
    assert unescape(found[1]) == policy
    for tag in ("script", "style"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert not re.search(r"https?://[a-z0-9]|innerHTML|outerHTML|insertAdjacentHTML|eval\(|document\.write", text)


def test_a_token_can_not_end_the_script(tmp_path: Path) -> None:
    data = page_data(read_run(write_run(tmp_path / "run")))
    page, _ = render_live_page(data, HOSTILE)
    assert page.count("<script") == page.count("</script") == 2
    assert data_of(page)["live"] == {"token": HOSTILE}


def test_every_asset_is_in_a_page() -> None:
    used = {
        *("report.html", page_module._START, *page_module._STYLE, *page_module._LIVE_STYLE),
        *(*page_module._SCRIPT, *page_module._LIVE_SCRIPT),
    }
    assert {file.name for file in ASSETS.iterdir()} == used


def test_every_word_of_the_pages_is_there_in_both_languages_and_once() -> None:
    known: dict[str, str] = {}
    for name in ("words.js", "live_words.js"):
        text = (ASSETS / name).read_text(encoding="utf-8")
        english, chinese = (set(re.findall(r'\b(\w+): "', part)) for part in re.split(r"\bzh\b[:,]", text, maxsplit=1))
        assert english == chinese
        assert not english & known.keys()
        known |= dict.fromkeys(english, name)
    script = "".join(file.read_text(encoding="utf-8") for file in ASSETS.glob("*.js"))
    assert set(re.findall(r'\b(?:T|say)\("(\w+)"', script)) <= known.keys()


def test_the_title_is_escaped_too(tmp_path: Path) -> None:
    page = page_of(tmp_path / "run", scenario=HOSTILE)
    assert page.partition("</title>")[0].count("<script") == 0
    assert "&lt;/script&gt;" in page.partition("</title>")[0]


def test_a_place_of_the_template_that_stands_in_the_run_is_left_alone(tmp_path: Path) -> None:
    shown = data_of(page_of(tmp_path / "run", text="{{script}} {{style}}"))
    assert shown["scenario"] == "{{script}} {{style}}"


@pytest.mark.parametrize("secret", ["hunter2-secret", "auths"])
def test_a_pull_secret_is_nowhere_in_the_page(secret: str, tmp_path: Path) -> None:
    page = page_of(tmp_path / "run")
    assert secret not in page
    assert "\\u003cRedacted\\u003e" in page


def test_a_long_run_with_many_responses_stays_small(tmp_path: Path) -> None:
    page = page_of(tmp_path / "run", responses=60_000)
    assert len(page.encode()) < 1_500_000
    assert len(data_of(page)["dots"]["users"]["t_us"]) == 60_000


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no result"):
        write_page(tmp_path)
    (tmp_path / "result.json").write_text('{"schema": 2}', encoding="utf-8")
    with pytest.raises(InvalidInput, match="not of this version"):
        write_page(tmp_path)


def test_a_place_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    with pytest.raises(EnvironmentProblem, match="can't write"):
        write_page(run, tmp_path / "nowhere" / "report.html")


def test_a_run_that_ended_early_has_a_page_all_the_same(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", rollouts=[], traffic={}, outcome="error")
    for name in ("trace.jsonl", "scenario.yaml", "traffic.json"):
        (run / name).unlink()
    shown = data_of(write_page(run).read_text(encoding="utf-8"))
    assert shown["items"] == []
    assert [lane["id"] for lane in shown["lanes"]] == [
        *("manifests", "core", "discovery", "agent", "registry", "envoy", "worker0", "worker1")
    ]


def test_the_titles_of_the_scenario_and_of_the_steps_are_there_in_both_languages(tmp_path: Path) -> None:
    shown = page_data(read_run(write_run(tmp_path / "run")))
    assert shown["title"] == {"en": "A new image tag", "zh": "更新镜像版本"}
    assert len(shown["steps"]) == 9
    assert all(step[key][language] for step in shown["steps"] for key in ("title", "text") for language in ("en", "zh"))


def test_two_runs_are_paired_by_what_changed_and_their_times_stand_side_by_side(tmp_path: Path) -> None:
    run, other = (write_run(tmp_path / name) for name in "ab")
    shown = page_data(read_run(run), read_run(other))["against"]
    assert shown["name"] == "b"
    assert shown["pairs"] == [0]
    assert shown["order"] == []
    assert {"rollout": "rollouts[0]", "stage": "load", "a": 11.0, "b": 11.0, "ratio": 1.0} in shown["times"]


def test_another_order_of_events_is_told_by_lane(tmp_path: Path) -> None:
    run, other = (write_run(tmp_path / name) for name in "ab")
    lines = (other / "trace.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (other / "trace.jsonl").write_text("".join(line for line in lines if "envoy.ack" not in line), encoding="utf-8")
    order = page_data(read_run(run), read_run(other))["against"]["order"]
    assert any(mark == "-" and "envoy.ack" in line for lane in order for mark, line in lane["lines"])
