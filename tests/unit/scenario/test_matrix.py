"""A scenario with a matrix is one scenario for each combination, all of them checked, each able to stand alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InvalidInput
from sim.scenario.load import LoadedScenario, load_scenario, load_scenarios
from sim.scenario.matrix import Matrix, choose
from sim.scenario.problems import InvalidScenario
from sim.scenario.schema import Push

PLUGIN = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: block, namespace: higress-system}
spec: {url: oci://registry.local/plugins/request-block:1.0.0}
"""
SCENARIO = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata: {name: demo, title: {en: A demonstration}}
spec:
  matrix: MATRIX
  images:
  - {plugin: request-block, tag: 1.0.0}
  - {plugin: request-block, tag: 2.0.0, format: artifact}
  steps:
  - apply: plugin.yaml
  - repeat:
      times: 2
      steps:
      - push: {plugin: marker, tag: 1.0.0}
  expect:
  - combination.format != "guide"
"""

Load = Callable[..., tuple[LoadedScenario, ...]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """The scenario with this matrix, and with some of its text replaced."""

    def written(matrix: str, pinned: frozenset[str] = frozenset(), **replaced: str) -> tuple[LoadedScenario, ...]:
        text = SCENARIO.replace("MATRIX", matrix)
        for change in replaced.values():
            old, new = change.split(" => ")
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "plugin.yaml").write_text(PLUGIN, encoding="utf-8")
        (tmp_path / "scenario.yaml").write_text(text, encoding="utf-8")
        return load_scenarios(tmp_path, pinned)

    return written


def test_every_axis_is_combined_with_every_other(load: Load) -> None:
    loaded = load("{profile: [higress, istio-1.27], format: [docker, oci], workers: [1, 4], xds: [sotw, delta]}")
    assert len(loaded) == 16
    assert len({each.label for each in loaded}) == 16
    assert loaded[0].label == "demo[higress-docker-workers-1-sotw]"
    assert loaded[-1].label == "demo[istio-1.27-oci-workers-4-delta]"
    assert [each.profile.name for each in loaded[7:9]] == ["higress", "istio-1.27"]


def test_a_format_is_that_of_the_images_which_name_none(load: Load) -> None:
    docker, oci = load("{format: [docker, oci]}")
    assert [image.format for image in docker.images] == ["docker", "artifact"]
    assert [image.format for image in oci.images] == ["oci", "artifact"]
    pushes = [each.step for each in oci.every_step() if isinstance(each.step, Push)]
    assert [step.image.format for step in pushes] == ["oci"]


def test_workers_are_those_of_every_gateway(load: Load) -> None:
    gateways = "  images: =>   gateways: [{name: east}, {name: west, workers: 2}]\n  images:"
    (loaded,) = load("{workers: [3]}", gateways=gateways)
    assert [gateway.workers for gateway in loaded.scenario.spec.gateways] == [3, 3]
    (alone,) = load("{workers: [3]}")
    assert alone.scenario.spec.gateway.workers == 3


def test_an_envoy_is_a_version_or_a_path_from_the_scenario(load: Load, tmp_path: Path) -> None:
    version, path = load("{envoy: [1.36.4, ./bin/envoy]}")
    assert version.envoy == "1.36.4"
    assert path.envoy == str(tmp_path / "bin" / "envoy")
    assert version.label == "demo[envoy-1.36.4]"


def test_a_resolved_combination_reads_back_as_itself(load: Load, tmp_path: Path) -> None:
    loaded = load("{profile: [higress, istio-1.27], format: [oci], workers: [2], envoy: [1.40.0], xds: [delta]}")
    (tmp_path / "scenario.yaml").write_text(loaded[1].resolved_yaml(), encoding="utf-8")
    (again,) = load_scenarios(tmp_path)
    assert again.label == loaded[1].label
    assert again.resolved_yaml() == loaded[1].resolved_yaml()


def test_without_a_matrix_there_is_one_and_no_combination(load: Load, tmp_path: Path) -> None:
    (loaded,) = load("{workers: [1]}", line="  matrix: {workers: [1]}\n => ", expect="combination.format => profile")
    assert loaded.combination is None
    assert loaded.label == "demo"


def test_an_axis_that_the_command_line_decides_is_not_combined(load: Load) -> None:
    loaded = load("{profile: [higress, istio-1.27], format: [docker, oci]}", frozenset({"profile"}))
    assert [each.label for each in loaded] == ["demo[docker]", "demo[oci]"]
    (alone,) = load("{profile: [higress, istio-1.27]}", frozenset({"profile"}))
    assert alone.combination is None


def test_one_combination_is_chosen_by_its_name(load: Load) -> None:
    loaded = load("{format: [docker, oci]}")
    assert [each.label for each in choose(loaded, "oci")] == ["demo[oci]"]
    with pytest.raises(InvalidInput, match="did you mean oci"):
        choose(loaded, "oc")


def test_a_problem_of_one_combination_says_where_it_is_and_one_of_all_says_it_once(load: Load) -> None:
    with pytest.raises(InvalidScenario) as raised:
        load(
            "{profile: [higress, higres], workers: [1, 2]}",
            typo='combination.format != "guide" => traffic.users.failed == 0',
        )
    told = [problem.message for problem in raised.value.problems]
    assert told[0] == "there is no profile 'higres' (in higres-workers-1, higres-workers-2)"
    where = raised.value.problems[0].where
    assert where is not None
    assert (where.line, where.key) == (5, "spec.matrix.profile[1]")
    assert len(told) == 2
    assert "(in" not in told[1]


@pytest.mark.parametrize(
    ("matrix", "told"),
    [
        ("{}", "without an axis"),
        ("{profile: []}", "is empty"),
        ("{workers: [1, 1]}", "listed twice"),
        ("{workers: [0]}", "out of range"),
        ("{workers: ['2']}", "whole number"),
        ("{format: [docker, oki]}", "did you mean oci"),
        ("{xds: [both]}", "use sotw or delta"),
        ("{envoy: [latest]}", "./latest"),
        ("{profil: [higress]}", "did you mean profile"),
        ("{profile: [./a_b.yaml, ./a-b.yaml]}", "would be called 'a-b.yaml'"),
        (
            "{workers: [1, 2, 3, 4, 5, 6, 7], format: [docker, oci, artifact], envoy: [1.0.0, 1.0.1, 1.0.2, 1.0.3, /]}",
            "too many",
        ),
    ],
)
def test_what_is_no_matrix_is_refused_with_its_place(matrix: str, told: str, load: Load) -> None:
    with pytest.raises(InvalidScenario) as raised:
        load(matrix)
    assert told in str(raised.value)
    assert "scenario.yaml:5" in str(raised.value)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "profile": st.lists(st.sampled_from(["higress", "istio-1.27"]), min_size=1, unique=True),
            "format": st.lists(st.sampled_from(["docker", "oci", "artifact"]), min_size=1, unique=True),
            "workers": st.lists(st.integers(1, 64), min_size=1, max_size=3, unique=True),
            "xds": st.lists(st.sampled_from(["sotw", "delta"]), min_size=1, unique=True),
        },
    ).filter(bool)
)
def test_the_combinations_are_as_many_as_the_axes_make_and_have_names_of_their_own(
    axes: dict[str, list[object]],
) -> None:
    made = list(Matrix.model_validate(axes).combinations())
    expected = 1
    for values in axes.values():
        expected *= len(values)
    assert len(made) == len({each.name for each in made}) == expected
    assert all(each.model_dump()[axis] in values for each in made for axis, values in axes.items())


def test_a_matrix_scenario_can_still_be_loaded_as_one(load: Load, tmp_path: Path) -> None:
    load("{format: [docker, oci]}")
    assert load_scenario(tmp_path).label == "demo[docker]"
