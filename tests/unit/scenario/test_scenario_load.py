"""Everything that can be wrong with a scenario file is found before anything starts, with its place and a hint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sim.scenario.load import load_scenario
from sim.scenario.problems import InvalidScenario

SCENARIO = """\
apiVersion: ecdsim/v1
kind: Scenario
metadata:
  name: demo
  title: {en: A demonstration, zh: 演示}
spec:
  images:
  - {plugin: request-block, tag: 1.0.0}
  - {plugin: request-block, tag: 2.0.0, format: oci}
  traffic:
    users: {rate: 200/s, connections: 8}
  steps:
  - apply: plugin.yaml
  - wait: {effective: higress-system/block, within: 5s}
  - bump: {plugin: higress-system/block, tag: 2.0.0}
  - edit: {plugin: higress-system/block, patch: {spec: {defaultConfig: {block_urls: [/]}}}}
  - push: {file: own.wasm, as: "hub.example.com/team/own:1.0.0"}
  - request: {path: /, expect: {status: 403}}
  - sleep: 100ms
  - delete: higress-system/block
  - wait: {gone: higress-system/block}
  expect:
  - traffic.users.failed == 0
  - rollouts[1].acked
"""
PLUGIN = """\
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: block, namespace: higress-system}
spec:
  url: oci://registry.local/plugins/request-block:1.0.0
  defaultConfig: {block_urls: [swagger.html]}
"""
EMPTY_MODULE = b"\0asm\1\0\0\0"

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a scenario beside a plugin's manifest and a module; gives its path."""
    (tmp_path / "plugin.yaml").write_text(PLUGIN, encoding="utf-8")
    (tmp_path / "own.wasm").write_bytes(EMPTY_MODULE)
    (tmp_path / "text.wasm").write_text("(module)", encoding="utf-8")
    (tmp_path / "broken.yaml").write_text(PLUGIN.replace("defaultConfig", "defaultConfg"), encoding="utf-8")

    def write_scenario(text: str) -> Path:
        path = tmp_path / "demo.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_scenario


def changed(old: str, new: str) -> str:
    assert SCENARIO.count(old) == 1, old
    return SCENARIO.replace(old, new)


def test_a_right_scenario_is_loaded_with_everything_that_a_run_needs(write: Write) -> None:
    path = write(SCENARIO)
    loaded = load_scenario(path)
    assert loaded.name == "demo"
    assert loaded.profile.name == "higress"
    assert loaded.folder == path.parent
    assert [image.reference.url for image in loaded.images] == [
        "oci://registry.local/plugins/request-block:1.0.0",
        "oci://registry.local/plugins/request-block:2.0.0",
    ]
    assert [image.version_header for image in loaded.images] == ["x-request-block-version"] * 2
    assert loaded.pushes[4,].module == EMPTY_MODULE
    urls = {index: [manifest.spec["url"] for manifest in made] for index, made in loaded.manifests.items()}
    repository = "oci://registry.local/plugins/request-block"
    assert urls == {(0,): [f"{repository}:1.0.0"], (2,): [f"{repository}:2.0.0"], (3,): [f"{repository}:2.0.0"]}
    assert loaded.manifests[3,][0].spec["defaultConfig"] == {"block_urls": ["/"]}
    assert str(loaded.steps[2].where) == f"{path}:15:5"
    assert [str(expectation.where) for expectation in loaded.expectations] == [f"{path}:23:5", f"{path}:24:5"]


def test_a_folder_stands_for_its_scenario_yaml(write: Write, tmp_path: Path) -> None:
    write(SCENARIO).rename(tmp_path / "scenario.yaml")
    assert load_scenario(tmp_path).path == tmp_path / "scenario.yaml"


def test_the_resolved_scenario_is_the_same_scenario_with_its_defaults(write: Write) -> None:
    first = load_scenario(write(SCENARIO))
    text = first.resolved_yaml()
    assert "profile: higress\n" in text
    assert "within: 10s\n" in text
    assert "as: registry.local/plugins/request-block:1.0.0\n" in text
    again = load_scenario(write(text))
    assert again.resolved_yaml() == text
    assert again.scenario.spec.steps == first.scenario.spec.steps
    assert again.scenario.spec.traffic == first.scenario.spec.traffic


def test_words_that_yaml_reads_as_something_else_survive_resolving(write: Write) -> None:
    text = changed("{path: /, expect", '{headers: {x-a: "yes", x-b: "1_000"}, body: "a\\nb: c", expect')
    again = load_scenario(write(load_scenario(write(text)).resolved_yaml()))
    assert again.scenario.spec.steps == load_scenario(write(text)).scenario.spec.steps


def test_headers_that_must_be_absent_survive_resolving(write: Write) -> None:
    text = changed("{status: 403}", "{headers: {x-version: null}}")
    again = load_scenario(write(load_scenario(write(text)).resolved_yaml()))
    assert "headers={'x-version': None}" in repr(again.scenario.spec.steps)


WRONG = {
    "an unknown key at the top": ("metadata:", "metdata:", 3, "metdata", "did you mean metadata?"),
    "a key that is missing": ("  name: demo\n", "", 3, "metadata.name", "add name:"),
    "an unknown key in metadata": ("name: demo", "nmae: demo", 4, "metadata.nmae", "did you mean name?"),
    "a name that is no label": ("name: demo", "name: My_Demo", 4, "metadata.name", "small letters"),
    "another version of the format": ("ecdsim/v1", "ecdsim/v2", 1, "apiVersion", "did you mean ecdsim/v1?"),
    "another kind": ("kind: Scenario", "kind: Scenarios", 2, "kind", "did you mean Scenario?"),
    "an unknown key in spec": ("  images:", "  imagse: []\n  images:", 7, "spec.imagse", "did you mean images?"),
    "an unknown profile": (
        "  images:", "  profile: higres\n  images:", 7, "spec.profile", "did you mean higress?"
    ),
    "a profile's file that is not there": (
        "  images:", "  profile: profiles/own.yaml\n  images:", 7, "spec.profile", "relative paths start at"
    ),
    "an unknown bug": (
        "  images:", "  fixed: [purged-in-use]\n  images:", 7, "spec.fixed[0]", "did you mean purge-in-use?"
    ),
    "a bug that is named twice": (
        "  images:", "  fixed: [purge-in-use, purge-in-use]\n  images:", 7, "spec.fixed[1]", "remove one"
    ),
    "too many workers": ("  images:", "  gateway: {workers: 65}\n  images:", 7, "spec.gateway.workers", "at most 64"),
    "workers in quotes": (
        "  images:", '  gateway: {workers: "2"}\n  images:', 7, "spec.gateway.workers", "without quotes"
    ),
    "a port that is none": ("  images:", "  gateway: {port: 0}\n  images:", 7, "spec.gateway.port", "at least 1"),
    "a debounce without a unit": (
        "  images:", "  debounce: {after: 100}\n  images:", 7, "spec.debounce.after", "100s or 100ms"
    ),
    "a debounce that ends before it begins": (
        "  images:", "  debounce: {after: 1s, max: 10ms}\n  images:", 7, "spec.debounce", "make max the longer"
    ),
    "an unknown upstream": (
        "  images:", "  upstream: ecco\n  images:", 7, "spec.upstream", "did you mean echo? use responder or echo"
    ),
    "an image of an unknown plugin": (
        "request-block, tag: 1.0.0}", "request_blok, tag: 1.0.0}", 8, "spec.images[0].plugin",
        "did you mean request-block?",
    ),
    "a tag that YAML reads as a number": (
        "tag: 1.0.0}", "tag: 1.0}", 8, "spec.images[0].tag", "put it in quotes"
    ),
    "a tag with a space": ("tag: 1.0.0}", "tag: 1 0}", 8, "spec.images[0].tag", "a tag is 1 to 128"),
    "an unknown format": ("format: oci", "format: ocii", 9, "spec.images[1].format", "did you mean oci?"),
    "an unknown key of an image": ("format: oci", "fromat: oci", 9, "spec.images[1].fromat", "did you mean format?"),
    "an image of a plugin and a file": (
        "format: oci", "file: own.wasm", 9, "spec.images[1].file", "known here: plugin, tag"
    ),
    "a reference that is none": (
        "format: oci", "as: registry.local/Block:1", 9, "spec.images[1].as", "repository is in lower case"
    ),
    "two images with one reference": (
        "tag: 2.0.0, format", "tag: 1.0.0, format", 9, "spec.images[1]", "another tag"
    ),
    "a module that is not there": ("own.wasm", "onw.wasm", 17, "spec.steps[4].push.file", "did you mean own.wasm?"),
    "a module that is none": ("own.wasm", "text.wasm", 17, "spec.steps[4].push.file", "compiled .wasm"),
    "a key that an image of a file lacks": (
        ', as: "hub.example.com/team/own:1.0.0"', "", 17, "spec.steps[4].push.as", "add as: (the image's reference)"
    ),
    "a rate without a unit": ("rate: 200/s", "rate: 200", 11, "spec.traffic.users.rate", "200/s or 200/m"),
    "a rate of another unit": ("rate: 200/s", "rate: 200/h", 11, "spec.traffic.users.rate", "such as 200/s"),
    "no connections": ("connections: 8", "connections: 0", 11, "spec.traffic.users.connections", "at least 1"),
    "a path without a slash": ("connections: 8", "path: admin", 11, "spec.traffic.users.path", "write it like / or"),
    "a status that is none": (
        "connections: 8", "fail_status: [6xx]", 11, "spec.traffic.users", 'a class such as "5xx"'
    ),
    "traffic that no expectation could name": (
        "    users:", "    my-users:", 11, "spec.traffic.my-users", "small letters, digits and '_'"
    ),
    "traffic with a word of CEL for its name": ("    users:", "    in:", 11, "spec.traffic.in", "take another"),
    "a version rule that is not CEL": (
        "connections: 8", "version_by: response.status = 200", 11, "spec.traffic.users.version_by", "CEL writes =="
    ),
    "a version rule about something else": (
        "connections: 8", "version_by: respnse.status", 11, "spec.traffic.users.version_by", "did you mean response?"
    ),
    "no steps": (
        SCENARIO[SCENARIO.index("  - apply") : SCENARIO.index("  expect:")], "", 12, "spec.steps",
        "nothing follows the key",
    ),
    "a step that is text": ("- sleep: 100ms", "- sleep", 19, "spec.steps[6]", "write - sleep: …"),
    "an unknown step": ("- bump: {", "- bumb: {", 15, "spec.steps[2]", "did you mean bump?"),
    "two steps in one": ("- sleep: 100ms", "- sleep: 100ms\n    push: {}", 19, "spec.steps[6]", "begin each with -"),
    "a step's keys at its own height": (
        "- sleep: 100ms", "- sleep:\n    duration: 100ms", 19, "spec.steps[6]", "indent what belongs to sleep"
    ),
    "a step with nothing in it": ("- sleep: 100ms", "- {}", 19, "spec.steps[6]", "steps are apply, bump"),
    "a sleep without a unit": ("sleep: 100ms", "sleep: 100", 19, "spec.steps[6].sleep", "100s or 100ms"),
    "a sleep of another unit": ("sleep: 100ms", "sleep: 3 days", 19, "spec.steps[6].sleep", "such as 100ms"),
    "no time to wait": ("within: 5s", "within: 0s", 14, "spec.steps[1].wait.within", "for instance 5s"),
    "a wait for nothing": (
        "{effective: higress-system/block, within: 5s}", "{within: 5s}", 14, "spec.steps[1].wait", ""
    ),
    "a wait for two things": (
        "within: 5s", "settled: higress-system/block", 14, "spec.steps[1].wait", ""
    ),
    "a wait with the plugin named twice": (
        "within: 5s", "plugin: higress-system/block", 14, "spec.steps[1].wait", "names its plugin by itself"
    ),
    "a wait for an event that has no name like that": (
        "{effective: higress-system/block, within: 5s}", "{event: agnt.fetch}", 14, "spec.steps[1].wait.event",
        "did you mean agent?",
    ),
    "a wait for a plugin that is not there": (
        "effective: higress-system/block", "effective: higress-system/blok", 14, "spec.steps[1].wait.effective",
        "did you mean higress-system/block?",
    ),
    "a plugin without its namespace": (
        "effective: higress-system/block", "effective: block", 14, "spec.steps[1].wait.effective",
        "such as higress-system/block",
    ),
    "a manifest that is not there": (
        "apply: plugin.yaml", "apply: plugins.yaml", 13, "spec.steps[0].apply", "did you mean plugin.yaml?"
    ),
    "a manifest's folder that is not there": (
        "apply: plugin.yaml", "apply: manifests/plugin.yaml", 13, "spec.steps[0].apply", "relative paths start at"
    ),
    "a bump of a plugin that is not there": (
        "bump: {plugin: higress-system/block", "bump: {plugin: higress-system/blok", 15,
        "spec.steps[2].bump.plugin", "did you mean higress-system/block?",
    ),
    "a bump to a tag that no image has": (
        "block, tag: 2.0.0}", "block, tag: 3.0.0}", 15, "spec.steps[2].bump.tag", "request-block:2.0.0; add the image"
    ),
    "a bump to a missing image that is there": (
        "block, tag: 2.0.0}", "block, tag: 2.0.0, missing: true}", 15, "spec.steps[2].bump.tag", "remove missing: true"
    ),
    "a bump to an image that is pushed later": (
        "block, tag: 2.0.0}", "block, image: hub.example.com/team/own:1.0.0}", 15, "spec.steps[2].bump.image",
        "by then it has",
    ),
    "a bump to nothing": ("block, tag: 2.0.0}", "block}", 15, "spec.steps[2].bump", "write one of the two"),
    "a bump to no tag": ("block, tag: 2.0.0}", "block, tag: -}", 15, "spec.steps[2].bump.tag", "a tag is 1 to 128"),
    "a patch that is no mapping": (
        "patch: {spec: {defaultConfig: {block_urls: [/]}}}", "patch: no", 16, "spec.steps[3].edit.patch", "merge patch"
    ),
    "a patch that leaves an invalid object": (
        "patch: {spec: {defaultConfig:", "patch: {spec: {defaultConfg:", 16, "spec.steps[3].edit.patch",
        "did you mean defaultConfig?",
    ),
    "a patch that makes another object": (
        "patch: {spec: {defaultConfig: {block_urls: [/]}}}", "patch: {metadata: {name: other}}", 16,
        "spec.steps[3].edit.patch", "delete the old object",
    ),
    "a request's status that is none": (
        "{status: 403}", "{status: 999}", 18, "spec.steps[5].request.expect.status", "at most 599"
    ),
    "an unknown key of an answer": (
        "{status: 403}", "{body: blocked}", 18, "spec.steps[5].request.expect.body", "did you mean body_contains?"
    ),
    "a second delete": (
        "- wait: {gone: higress-system/block}", "- delete: higress-system/block", 21, "spec.steps[8].delete",
        "apply it again",
    ),
    "an expectation that is not CEL": (
        "traffic.users.failed == 0", "traffic.users.failed = 0", 23, "spec.expect[0]", "CEL writes == for ="
    ),
    "an expectation about traffic that there is not": (
        "traffic.users.failed == 0", "traffic.user.failed == 0", 23, "spec.expect[0]", "did you mean users?"
    ),
    "an expectation about a field that there is not": (
        "rollouts[1].acked", "rollouts[1].aked", 24, "spec.expect[1]", "did you mean acked?"
    ),
    "a line break in a header": (
        "path: /,", 'path: /, headers: {a: "b\\nc"},', 18, "spec.steps[5].request.headers.a", "no line breaks"
    ),
    "a blank in a header's name": (
        "path: /,", "path: /, headers: {a b: c},", 18, "spec.steps[5].request.headers.a b", "letters, digits"
    ),
    "a line break in a host": ("path: /,", 'path: /, host: "a\\nb",', 18, "spec.steps[5].request.host", "line breaks"),
    "a path that is not encoded": ("path: /,", "path: /日本,", 18, "spec.steps[5].request.path", "/%E6%97%A5%E6%9C%AC"),
    "a path of traffic that is not encoded": (
        "connections: 8", 'path: "/日?a=b c"', 11, "spec.traffic.users.path", "/%E6%97%A5?a=b%20c"
    ),
    "a path that does not begin with a slash": (
        "path: /,", "path: a,", 18, "spec.steps[5].request.path", "/swagger.html"
    ),
    "a pseudo-header": (
        "connections: 8", 'headers: {":authority": a}', 11, "spec.traffic.users.headers.:authority", "write host:"
    ),
    "a Host among the headers of traffic": (
        "connections: 8", "headers: {Host: a}", 11, "spec.traffic.users.headers.Host", "write host:"
    ),
    "a header that HTTP/2 has not": (
        "connections: 8", "protocol: http/2, headers: {Connection: close}", 11,
        "spec.traffic.users.headers.Connection", "http/1.1",
    ),
    "a header that follows from the body": (
        "connections: 8", 'headers: {content-length: "5"}', 11,
        "spec.traffic.users.headers.content-length", "leave it out",
    ),
    "a sleep beyond all bounds": ("sleep: 100ms", "sleep: 99999999999999999999h", 19, "spec.steps[6].sleep", "720h"),
    "a wait beyond all bounds": ("within: 5s", "within: 721h", 14, "spec.steps[1].wait.within", "720h"),
    "digits of another script": ("sleep: 100ms", "sleep: ５s", 19, "spec.steps[6].sleep", "digits 0 to 9"),
    "a rate that nobody can send": ("rate: 200/s", "rate: 100001/s", 11, "spec.traffic.users.rate", "100000/s"),
    "a rate in digits of another script": ("rate: 200/s", "rate: ５/s", 11, "spec.traffic.users.rate", "200/s"),
    "a seed beyond all bounds": ("  images:", f"  seed: {10**25}\n  images:", 7, "spec.seed", "9007199254740991"),
    "repeats within repeats beyond all bounds": (
        "sleep: 100ms", "repeat: {times: 10000, steps: [{repeat: {times: 10000, steps: [{sleep: 1ms}]}}]}", 19,
        "spec.steps[6]", "at most 100000",
    ),
    "an expectation that is never true or false": (
        "rollouts[1].acked", "rollouts[1]", 24, "spec.expect[1]", "name a field"
    ),
    "a gateway that there is not": (
        "rollouts[1].acked", "gateways.east.memory_bytes > 0", 24, "spec.expect[1]", "the scenario has gateway"
    ),
    "a combination without a matrix": (
        "rollouts[1].acked", 'combination.format == "oci"', 24, "spec.expect[1]", "spec.matrix"
    ),
    "an expectation that YAML reads as a boolean": (
        "rollouts[1].acked", "true", 24, "spec.expect[1]", "put it in quotes"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_told_with_file_line_key_and_what_would_be_right(what: str, write: Write) -> None:
    old, new, line, key, hint = WRONG[what]
    path = write(changed(old, new))
    with pytest.raises(InvalidScenario) as refused:
        load_scenario(path)
    found = [problem for problem in refused.value.problems if problem.where and problem.where.key == key]
    assert found, str(refused.value)
    assert found[0].where is not None
    assert (found[0].where.file, found[0].where.line) == (str(path), line)
    assert found[0].message
    assert hint in (found[0].hint or found[0].message), str(found[0])


def test_a_manifest_that_is_not_valid_is_told_at_its_own_line(write: Write, tmp_path: Path) -> None:
    with pytest.raises(InvalidScenario) as refused:
        load_scenario(write(changed("apply: plugin.yaml", "apply: broken.yaml")))
    (problem,) = refused.value.problems
    assert problem.where is not None
    assert (problem.where.file, problem.where.line) == (str(tmp_path / "broken.yaml"), 6)
    assert problem.hint == "did you mean defaultConfig?"


def test_an_image_that_the_manifest_names_and_nobody_pushed_is_found(write: Write, tmp_path: Path) -> None:
    (tmp_path / "plugin.yaml").write_text(PLUGIN.replace(":1.0.0", ":1.0.1"), encoding="utf-8")
    with pytest.raises(
        InvalidScenario, match=r"plugin\.yaml names oci://registry\.local/plugins/request-block:1\.0\.1"
    ):
        load_scenario(write(SCENARIO))


def test_an_image_may_be_missing_where_the_step_says_so(write: Write) -> None:
    loaded = load_scenario(write(changed("block, tag: 2.0.0}", "block, tag: 9.9.9, missing: true}").replace(
        "{block_urls: [/]}}}}", "{block_urls: [/]}}}, missing: true}"
    )))  # fmt: skip
    assert loaded.manifests[2,][0].spec["url"].endswith(":9.9.9")


def test_all_problems_are_told_in_the_order_of_the_file(write: Write) -> None:
    text = changed("rate: 200/s", "rate: 200").replace("sleep: 100ms", "sleep: 100").replace("tag: 1.0.0}", "tga: x}")
    path = write(text)
    with pytest.raises(InvalidScenario) as refused:
        load_scenario(path)
    lines = [problem.where.line for problem in refused.value.problems if problem.where is not None]
    assert lines == [8, 8, 11, 19]
    assert [line.split(" ")[0] for line in str(refused.value).splitlines() if "demo.yaml" in line] == [
        f"{problem.where}:" for problem in refused.value.problems
    ]
    assert refused.value.exit_code == 2


def test_an_image_that_is_wrong_is_not_told_again_where_it_is_used(write: Write) -> None:
    with pytest.raises(InvalidScenario) as refused:
        load_scenario(write(changed("request-block, tag: 2.0.0", "request-blok, tag: 2.0.0")))
    assert len(refused.value.problems) == 1


def test_a_manifest_that_is_not_there_is_not_told_again_where_its_plugin_is_used(write: Write) -> None:
    with pytest.raises(InvalidScenario) as refused:
        load_scenario(write(changed("apply: plugin.yaml", "apply: nope.yaml")))
    assert len(refused.value.problems) == 1


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "the file is empty", "begin with apiVersion: ecdsim/v1"),
        ("- a\n", "a scenario is a mapping", "begin with apiVersion: ecdsim/v1"),
        (SCENARIO + "---\n" + SCENARIO, "a second document begins here", "one scenario in each file"),
        (PLUGIN, "this is a WasmPlugin, not a scenario", "name this file in a step apply"),
        ("a: [\n", "not valid YAML", "brackets"),
        ('kind: "\\ud800"\n', "there is half a character", "write the character itself"),
        ("a: 1\na: 2\n", "the key is written twice", "keep one"),
    ],
)
def test_a_file_that_is_no_scenario_is_refused(text: str, message: str, hint: str, write: Write) -> None:
    with pytest.raises(InvalidScenario) as refused:
        load_scenario(write(text))
    assert message in refused.value.message
    assert hint in str(refused.value.hint)
    assert refused.value.where is not None


def test_a_file_that_is_not_there_is_refused_with_its_neighbour(write: Write, tmp_path: Path) -> None:
    write(SCENARIO)
    with pytest.raises(InvalidScenario, match=r"did you mean .*demo\.yaml\?"):
        load_scenario(tmp_path / "demmo.yaml")


def test_a_folder_without_a_scenario_is_refused_with_the_files_that_it_has(write: Write, tmp_path: Path) -> None:
    write(SCENARIO)
    with pytest.raises(InvalidScenario, match=r"there is no scenario\.yaml.*\n.*demo\.yaml"):
        load_scenario(tmp_path)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidScenario, match="UTF-8"):
        load_scenario(tmp_path / "x.yaml")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom"])
def test_a_device_is_no_scenario_and_no_manifest(device: str, write: Write) -> None:
    with pytest.raises(InvalidScenario, match="is a device"):
        load_scenario(Path(device))
    with pytest.raises(InvalidScenario, match="is a device"):
        load_scenario(write(changed("apply: plugin.yaml", f"apply: {device}")))


def test_of_a_file_without_end_no_more_is_read_than_a_scenario_can_have(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(InvalidScenario, match="larger than 1 MB"):
        load_scenario(tmp_path / "x.yaml")


def test_a_piece_by_itself_is_told_from_a_scenario(write: Write) -> None:
    with pytest.raises(InvalidScenario, match=r"this is a piece(.|\n)*spec\.include"):
        load_scenario(write("apiVersion: ecdsim/v1\nkind: Piece\nspec: {}\n"))


def test_a_folder_of_scenarios_is_sent_to_the_command_that_takes_one(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
    with pytest.raises(InvalidScenario, match=r"ecdsim test .* --list"):
        load_scenario(tmp_path)
