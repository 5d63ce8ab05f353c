"""Images that somebody else's registry has: `images: [{ref: …}]`, and a registry that is used in place of the run's."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.scenario.load import LoadedScenario, load_scenarios
from sim.scenario.pipeline import Mirrors
from sim.scenario.problems import InvalidScenario
from sim.scenario.versions import attribution

DIGEST = "sha256:" + "0" * 64
THERE = "127.0.0.1:5000/team/mine"
SCENARIO = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {name: foreign, title: {en: Foreign}}
spec:
  images: IMAGES
  traffic: {users: {version_by: 'response.headers["x-mine"]'}}
  steps:
  - apply: mine.yaml
"""
PLUGIN = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: mine, namespace: higress-system}
spec: {url: "URL"}
"""


def loaded(folder: Path, images: str, url: str = f"oci://{THERE}:1.0.0", registry: str | None = None) -> LoadedScenario:
    (folder / "scenario.yaml").write_text(SCENARIO.replace("IMAGES", images))
    (folder / "mine.yaml").write_text(PLUGIN.replace("URL", url))
    return load_scenarios(folder, registry=registry)[0]


def problem(folder: Path, images: str, registry: str | None = None) -> str:
    with pytest.raises(InvalidScenario) as refused:
        loaded(folder, images, registry=registry)
    (only,) = refused.value.problems
    return str(only)


@pytest.mark.parametrize("written", [f"oci://{THERE}:1.0.0", f"{THERE}:1.0.0"])
def test_an_image_that_is_there_already_is_not_pushed_and_its_tag_is_its_version(tmp_path: Path, written: str) -> None:
    found = loaded(tmp_path, f'[{{ref: "{written}"}}]')
    assert (found.images, [each.written for each in found.elsewhere]) == ((), [written])
    assert attribution(found).versions == {f"oci://{THERE}:1.0.0": "1.0.0", f"{THERE}:1.0.0": "1.0.0"}


def test_it_stands_in_the_resolved_scenario(tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    text = loaded(tmp_path, f'[{{ref: "oci://{THERE}:1.0.0"}}, {{plugin: request-block, tag: 1.0.0}}]').resolved_yaml()
    (again / "scenario.yaml").write_text(text)
    (again / "mine.yaml").write_text((tmp_path / "mine.yaml").read_text())
    assert [each.written for each in load_scenarios(again)[0].elsewhere] == [f"oci://{THERE}:1.0.0"]


def test_one_by_its_digest_has_the_digest_for_a_version(tmp_path: Path) -> None:
    url = f"oci://{THERE}@{DIGEST}"
    assert attribution(loaded(tmp_path, f'[{{ref: "{url}"}}]', url)).versions[url] == DIGEST


@pytest.mark.parametrize(
    ("images", "told"),
    [
        ('[{ref: "oci://HOST/Team/mine:1.0.0"}]', "spec.images[0].ref: "),
        ('[{ref: "https://example.com/mine:1"}]', "its scheme 'https' is not oci"),
        (f'[{{ref: "{THERE}:1.0.0", as: "other.example.com/a/b:1"}}]', "spec.images[0].as: unknown key"),
        (f'[{{ref: "{THERE}:1.0.0"}}, {{ref: "oci://{THERE}:1.0.0"}}]', "two images have the reference"),
        (
            f'[{{ref: "{THERE}:1.0.0"}}, {{plugin: request-block, tag: 1.0.0, as: "127.0.0.1:5000/a/b:1"}}]',
            "would be asked of the run's own registry, which answers for 127.0.0.1:5000",
        ),
        (f'[{{ref: "{THERE}:2.0.0"}}]', f"oci://{THERE}:1.0.0, which the registry does not have"),
        ("[]", "as ref: where a registry of its own has it"),
    ],
)
def test_what_can_not_be_is_refused_where_it_stands(tmp_path: Path, images: str, told: str) -> None:
    assert told in problem(tmp_path, images)


def test_a_registry_in_the_runs_place_may_have_any_image_of_its_own(tmp_path: Path) -> None:
    found = loaded(tmp_path, "[]", registry="127.0.0.1:5000")
    assert attribution(found, "127.0.0.1:5000").versions[f"oci://{THERE}:1.0.0"] == "1.0.0"
    assert attribution(found).versions[f"oci://{THERE}:1.0.0"] is None
    assert "does not have" in problem(tmp_path, "[]", registry="127.0.0.1:5001")


def test_a_registry_in_the_runs_place_has_what_is_pushed_and_what_was_there(tmp_path: Path) -> None:
    images = f'[{{ref: "{THERE}:1.0.0"}}, {{plugin: request-block, tag: 1.0.0, as: "127.0.0.1:5000/a/b:1"}}]'
    found = loaded(tmp_path, images, registry="127.0.0.1:5000")
    assert (len(found.images), len(found.elsewhere)) == (1, 1)


def test_who_answers_for_every_host_leaves_out_those_that_are_asked_themselves() -> None:
    every = Mirrors({"hub.example.com"}, "127.0.0.1:1", every_host=True, but={"127.0.0.1:5000"})
    assert [every.get(host) for host in ("hub.example.com", "other.example.com", "127.0.0.1:5000")] == [
        "127.0.0.1:1",
        "127.0.0.1:1",
        None,
    ]
