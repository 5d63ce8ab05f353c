"""The live page's panels in a real browser: each button makes the request that it stands for, and tells how it went."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.chromium import Tab, chromium_tab
from tests.e2e.live_server import LiveServer, live_server, plugin, state
from tests.needs import needed_program
from tests.unit.report.html_run import write_long_run

PLUGIN = "higress-system/request-block"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LiveServer]:
    async with live_server(write_long_run(tmp_path / "run", bumps=1, responses=20)) as serving:
        yield serving


@pytest.fixture
async def tab(tmp_path: Path, server: LiveServer) -> AsyncIterator[Tab]:
    """The console, after it was told the first state."""
    program = needed_program("chromium", "THE LIVE PAGE IS NOT OPENED IN A BROWSER")
    async with chromium_tab(program, tmp_path / "chromium") as opened:
        await opened.open(f"{server.url}#console")
        await server.tell("state", state())
        await opened.until("document.querySelector('.card')")
        yield opened
        # A browser itself tells of each request that is refused.
        assert [told for told in opened.console if told.get("entry", {}).get("source") != "network"] == []


def deed(**changes: Any) -> dict[str, Any]:
    return {"n": 0, "by": "page", "text": "bump", "state": "done", "error": None, **changes}


@pytest.mark.parametrize(
    ("next_step", "waiting", "said"),
    [
        (None, [], "The next change will be held before step 1."),
        (1, [1], "Held before 1: the change waits before Core"),
        (3, [3], "Held before 3: LDS waits on the link discovery–agent"),
        (3, [6], "Held before 3: nothing crosses here this time: same bytes · ECDS waits before 6"),
        (5, [6], "Held before 5: nothing crosses here this time: Envoy has subscribed already · ECDS waits before 6"),
        (6, [], "Held before 6: nothing waits here yet, it is on its way"),
    ],
)
async def test_a_stop_says_what_waits_and_where(
    next_step: int | None, waiting: list[int], said: str, tab: Tab, server: LiveServer
) -> None:
    await server.tell("state", state(stops={"on": True, "next": next_step, "waiting": waiting}))
    await tab.until("document.querySelector('.stops-bar [role=switch]').ariaChecked === 'true'")
    assert said in await tab.text(".held-text")
    if next_step is not None:
        assert (await tab.text(".stops [aria-current=step]")).startswith(f"{next_step} ")


async def test_step_mode_is_switched_and_a_key_steps_on(tab: Tab, server: LiveServer) -> None:
    server.answers["stops"] = (200, {"next": 1})
    await tab.press("n")
    await tab.click("[data-act=stopsOn]")
    assert await server.was_asked("stops") == {"on": True}
    await server.tell("state", state(stops={"on": True, "next": 2, "waiting": [2]}))
    await tab.until("document.querySelector('[data-act=stopsStep]').ariaDisabled === 'false'")
    await tab.press("n")
    assert await server.was_asked("stops") == {"step": True}
    await tab.click("[data-act=stopsStep]")
    assert await server.was_asked("stops") == {"step": True}
    await tab.click("[data-act=stopsFinish]")
    assert await server.was_asked("stops") == {"finish": True}
    assert server.asked == []


async def test_a_letter_that_is_typed_is_no_key(tab: Tab, server: LiveServer) -> None:
    await server.tell("state", state(stops={"on": True, "next": 2, "waiting": [2]}))
    await tab.until("document.querySelector('.stops .upNext')")
    await tab.click(".tags input")
    await tab.press("n")
    assert await tab.value("document.querySelector('.tags input').value") == "n"
    assert server.asked == []


async def test_the_scenarios_steps_are_listed_and_carried_out(tab: Tab, server: LiveServer) -> None:
    server.answers["scenario"] = (200, {})
    await tab.click("#console [data-act=nextStep]")
    assert await server.was_asked("scenario") == {"next": True}
    await tab.click("#console [data-act=allSteps]")
    assert await server.was_asked("scenario") == {"all": True}
    failing = [{"number": "1", "text": "apply", "state": "failed", "error": "there is no manifest"}]
    await server.tell("state", state(scenario_steps=failing))
    await tab.until("document.querySelector('#console .listed .failed')")
    assert "there is no manifest" in await tab.text("#console .listed .failed")


async def test_a_plugin_is_created_with_what_was_typed(tab: Tab, server: LiveServer) -> None:
    await tab.click("[data-act=createPlugin]")
    await tab.write("#editor [name=name]", "my-plugin")
    await tab.write("#editor [name=image]", "registry.local/plugins/my-plugin:1.0.0")
    await tab.write("#editor [name=priority]", "100")
    await tab.click("#editor [name=enabled]")
    await tab.write("#yaml", "block_urls:\n- /admin")
    manifest = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata:
  name: my-plugin
  namespace: higress-system
spec:
  url: oci://registry.local/plugins/my-plugin:1.0.0
  phase: UNSPECIFIED_PHASE
  priority: 100
  defaultConfigDisable: true
  defaultConfig:
    block_urls:
    - /admin
"""
    await tab.until("document.getElementById('problems').textContent === 'No problem found.'")
    await tab.click("#editor-form .main")
    assert await server.was_asked("apply") == {"yaml": manifest}
    made = [plugin(), plugin(plugin="higress-system/my-plugin")]
    await server.tell("state", state(deeds=[deed()], plugins=made))
    await tab.until("document.querySelectorAll('.card').length === 2 && document.getElementById('editor').hidden")


async def test_a_name_that_is_taken_is_told_before_anything_is_replaced(tab: Tab, server: LiveServer) -> None:
    await tab.click("[data-act=createPlugin]")
    await tab.write("#editor [name=name]", "request-block")
    await tab.write("#editor [name=image]", "oci://x/y:1")
    await tab.click("#editor-form .main")
    await tab.until("document.getElementById('problems').textContent.includes('this would replace it')")
    assert [path for path, _ in server.asked if path == "apply"] == []


async def test_what_is_typed_is_checked_and_a_problem_leads_to_its_line(tab: Tab, server: LiveServer) -> None:
    await tab.click("[data-act=configurePlugin]")
    assert await tab.value("document.getElementById('yaml').value") == "block_urls:\n- /admin\n"
    # Of the manifest that is checked, the configuration begins with the ninth line.
    server.answers["check"] = (200, {"problems": [{"message": "a colon too many", "hint": None, "where": "line 10"}]})
    await tab.write("#yaml", "block_urls:\n- a: b: c\n")
    await tab.until("document.querySelector('#problems .bad')")
    asked = await server.was_asked("check")
    while "a: b: c" not in asked["yaml"]:
        asked = await server.was_asked("check")
    assert asked["yaml"].splitlines()[9] == "    - a: b: c"
    assert await tab.text("#problems .bad") == "line 2 a colon too many"
    assert await tab.text("#gutter .bad") == "2"
    await tab.click("#problems [data-act=toLine]")
    chosen = "(field => field.value.slice(field.selectionStart, field.selectionEnd))(document.getElementById('yaml'))"
    assert await tab.value(chosen) == "- a: b: c"
    await tab.click("#editor-form .main")
    assert await server.was_asked("config") == {"plugin": PLUGIN, "yaml": "block_urls:\n- a: b: c\n"}


async def test_the_whole_manifest_is_written_as_it_is(tab: Tab, server: LiveServer) -> None:
    await tab.click("[data-act=configurePlugin]")
    await tab.click("[data-act=editorMode][data-of=manifest]")
    assert await tab.value("document.getElementById('yaml').value") == "kind: WasmPlugin\nspec:\n  priority: 10\n"
    await tab.write("#yaml", "kind: WasmPlugin")
    await tab.click("#editor-form .main")
    assert await server.was_asked("apply") == {"yaml": "kind: WasmPlugin"}


async def test_a_draft_outlives_a_change_by_somebody_else(tab: Tab, server: LiveServer) -> None:
    await tab.click("[data-act=configurePlugin]")
    await server.tell("state", state(plugins=[plugin(config_yaml="block_urls: [/untouched]\n")]))
    await tab.until("document.getElementById('yaml').value === 'block_urls: [/untouched]\\n'")
    await tab.write("#yaml", "block_urls: [/mine]")
    await server.tell("state", state(plugins=[plugin(config_yaml="block_urls: [/theirs]\n")]))
    await tab.until("!document.getElementById('meanwhile').hidden")
    assert await tab.value("document.getElementById('yaml').value") == "block_urls: [/mine]"
    await tab.click("[data-act=takeNew]")
    assert await tab.value("document.getElementById('yaml').value") == "block_urls: [/theirs]\n"


async def test_a_plugin_is_switched_off_and_its_card_says_so(tab: Tab, server: LiveServer) -> None:
    await tab.click("[data-act=switchPlugin]")
    assert await server.was_asked("enable") == {"plugin": PLUGIN, "enabled": False}
    await server.tell("state", state(plugins=[plugin(enabled=False)], deeds=[deed()]))
    await tab.until("document.querySelector('[data-act=switchPlugin]').ariaChecked === 'false'")
    await tab.until(f"document.querySelector('[data-place=\"plugin {PLUGIN}\"]').textContent === '✓ applied'")


async def test_a_tag_is_chosen_among_those_of_the_registry_or_typed(tab: Tab, server: LiveServer) -> None:
    await tab.click(".tags [data-of='2.0.0']")
    await tab.press("Enter")
    assert await server.was_asked("step") == {"bump": {"plugin": PLUGIN, "tag": "2.0.0"}}
    await tab.write(".tags input", "7.0.0")
    await tab.click(".tags .act")
    assert await server.was_asked("step") == {"bump": {"plugin": PLUGIN, "tag": "7.0.0"}}


async def test_a_plugin_is_deleted_only_after_a_second_look(tab: Tab, server: LiveServer) -> None:
    await tab.click("[data-act=askToDelete]")
    assert await tab.value("document.activeElement.dataset.act") == "keepPlugin"
    await tab.press("Enter")
    assert await tab.value("document.activeElement.dataset.act") == "askToDelete"
    assert server.asked == []
    await tab.click("[data-act=askToDelete]")
    await tab.click("[data-act=deletePlugin]")
    assert await server.was_asked("delete") == {"plugin": PLUGIN}


async def test_a_refused_rollout_is_told_on_the_card(tab: Tab, server: LiveServer) -> None:
    await server.tell("state", state(plugins=[plugin(status="nacked", error="unable to create Wasm service")]))
    await tab.until("document.querySelector('.status.nacked')")
    assert await tab.text(".trouble-text") == "unable to create Wasm service"


async def test_typing_and_focus_survive_what_is_told_meanwhile(tab: Tab, server: LiveServer) -> None:
    await tab.write(".tags input", "2.0")
    others = [plugin(plugin="a/first"), plugin(status="pending", tag="2.0.0")]
    await server.tell("state", state(plugins=others, deeds=[deed(state="running")]))
    await tab.until("document.querySelectorAll('.card').length === 2")
    typed = await tab.value("[document.activeElement.name, document.activeElement.value]")
    assert typed == ["tag", "2.0"]


@pytest.mark.parametrize(
    ("fields", "button", "body"),
    [
        (
            {"form[data-act=push] [name=tag]": "3.0.0"},
            "form[data-act=push] .main",
            {"push": {"plugin": "key-auth", "tag": "3.0.0", "format": "docker"}},
        ),
        (
            {"form[data-act=bump] [name=tag]": "2.0.0"},
            "form[data-act=bump] .main",
            {"bump": {"plugin": PLUGIN, "tag": "2.0.0"}},
        ),
        (
            {"form[data-act=changeLoad] [name=rate]": "400"},
            "form[data-act=changeLoad] .main",
            {"load": {"traffic": "users", "rate": "400/s"}},
        ),
        ({"form[data-act=request] [name=path]": "/a"}, "form[data-act=request] .main", {"request": {"path": "/a"}}),
        ({}, "[data-act=restart][data-of=core]", {"restart": "core"}),
        ({}, "[data-act=kill][data-of=envoy]", {"kill": "envoy"}),
        (
            {"[data-attribute=latency]": "200ms", "form.fault [name=name]": "slow", "[name=toxicity]": "0.5"},
            "form.fault .main",
            {"fault": {"on": "core-discovery", "name": "slow", "latency": {"latency": "200ms"}, "toxicity": 0.5}},
        ),
        ({}, "[data-act=clearAll]", {"clear": "all"}),
    ],
)
async def test_an_operation_makes_its_step(
    fields: dict[str, str], button: str, body: dict[str, Any], tab: Tab, server: LiveServer
) -> None:
    for selector, text in fields.items():
        await tab.write(selector, text)
    await tab.click(button)
    assert await server.was_asked("step") == body


async def test_a_faults_fields_are_those_of_its_schema(tab: Tab, server: LiveServer) -> None:
    await tab.choose("form.fault [name=kind]", "status")
    names = "[...document.querySelectorAll('[data-attribute]')].map(each => each.dataset.attribute)"
    assert await tab.value(names) == ["code", "form", "count"]
    assert await tab.value("[...document.querySelector('form.fault [name=on]').options].map(each => each.value)") == [
        "registry"
    ]
    await tab.write("[data-attribute=code]", "503")
    await tab.choose("[data-attribute=form]", "wrong_schema")
    await tab.click("form.fault .main")
    assert await server.was_asked("step") == {
        "fault": {"on": "registry", "status": {"code": 503, "form": "wrong_schema"}}
    }


async def test_a_fault_in_force_is_listed_and_cleared(tab: Tab, server: LiveServer) -> None:
    faults = [{"name": "slow", "kind": "latency", "on": "agent-registry", "hits": 4}]
    await server.tell("state", state(faults=faults))
    await tab.until("document.querySelector('[data-act=clearFault]')")
    assert "slow latency · agent-registry · 4 hits" in await tab.text("[data-room=faults]")
    await tab.click("[data-act=clearFault]")
    assert await server.was_asked("step") == {"clear": "slow"}


async def test_what_is_refused_is_told_at_the_button(tab: Tab, server: LiveServer) -> None:
    server.answers["step"] = (400, {"error": {"message": "a tag is missing", "hint": "such as 1.0.0", "where": None}})
    await tab.click("form[data-act=push] .main")
    await tab.until("document.querySelector('[data-place=push].failed')")
    assert await tab.text("[data-place=push]") == "✕ a tag is missing — such as 1.0.0"


async def test_what_goes_wrong_later_is_told_at_the_button_and_in_the_list(tab: Tab, server: LiveServer) -> None:
    server.answers["step"] = (202, {"deed": 61})
    await tab.click("form[data-act=push] .main")
    await tab.until("document.querySelector('[data-place=push].running')")
    wrong = deed(n=61, text="push key-auth", state="failed", error="the registry is down")
    await server.tell("state", state(deeds=[deed(n=60, by="kubectl"), wrong]))
    await tab.until("document.querySelector('[data-place=push].failed')")
    assert await tab.text("[data-place=push]") == "✕ the registry is down"
    assert "the registry is down" in await tab.text("#console [data-room=deeds]")
    assert "kubectl" in await tab.text("#console [data-room=deeds]")


async def test_a_server_that_is_gone_is_told_at_the_button(tab: Tab, server: LiveServer) -> None:
    await server.stop()
    await tab.click("form[data-act=push] .main")
    await tab.until("document.querySelector('[data-place=push].failed')")
    assert "can't be reached" in await tab.text("[data-place=push]")
    await server.start()


async def test_what_was_done_is_saved_as_a_scenario(tab: Tab, server: LiveServer) -> None:
    files = {"scenario.yaml": "kind: Scenario\n", "request-block.yaml": "kind: WasmPlugin\n"}
    server.answers["save"] = (200, {"files": files, "directory": None})
    await tab.click("[data-act=saveScenario]")
    await tab.until("document.querySelectorAll('.saved .file').length === 2")
    assert await tab.text(".saved pre") == "kind: Scenario\n"
    server.answers["save"] = (200, {"files": files, "directory": "/work/my-bump"})
    await tab.write(".saved [name=directory]", "./my-bump")
    await tab.click(".saved form .act")
    await tab.until("document.querySelector('.saved').textContent.includes('/work/my-bump')")
    assert [body for path, body in server.asked if path == "save"] == [None, {"directory": "./my-bump"}]
    server.answers["save"] = (400, {"error": {"message": "/work/my-bump exists", "hint": None, "where": None}})
    await tab.click(".saved form .act")
    await tab.until("document.querySelector('[data-place=write].failed')")


async def test_addresses_are_there_to_be_copied(tab: Tab) -> None:
    assert "kubectl --kubeconfig /runs/tag-bump/kubeconfig" in await tab.text("[data-room=facts]")
    await tab.click("[data-act=copyText]")
    await tab.until("document.querySelector('[data-act=copyText]').textContent === 'Copied'")
