"""What a request may look like: its headers, its body, and the file that leads kubectl here."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from sim.errors import EnvironmentProblem
from sim.web.kubernetes import write_kubeconfig
from sim.web.kubernetes.body import BodyError, go_text, parse_json, parse_yaml
from sim.web.kubernetes.decode import decode
from sim.web.kubernetes.guard import Guard
from sim.web.kubernetes.options import accepted
from sim.web.kubernetes.protobuf import parse_protobuf
from sim.web.kubernetes.resources import HIGRESS_PLUGINS, INGRESSES, Resource
from sim.web.kubernetes.status import ApiError

TOKEN = "t0ken"


def _headers(host: str = "127.0.0.1:1", **more: str) -> dict[str, str]:
    return {"Host": host, "Authorization": f"Bearer {TOKEN}", **more}


@pytest.mark.parametrize(
    ("hosts", "host", "is_let_in"),
    [
        ((), "127.0.0.1:80", True),
        ((), "192.0.2.1", False),
        (("192.0.2.1",), "192.0.2.1:80", True),
        (("gateway.example",), "GATEWAY.example:80", True),
        (("gateway.example",), "other.example", False),
        (("0.0.0.0",), "192.0.2.1", True),
        (("0.0.0.0",), "rebound.example", False),
        (("::",), "[2001:db8::1]:80", True),
        ((), "", False),
    ],
)
def test_which_hosts_are_this_servers(hosts: tuple[str, ...], host: str, is_let_in: bool) -> None:
    guard = Guard(TOKEN, hosts)
    if is_let_in:
        guard.check(_headers(host))
    else:
        with pytest.raises(ApiError, match=r"^forbidden: Host"):
            guard.check(_headers(host))


def test_a_foreign_host_is_not_told_whether_its_token_is_right() -> None:
    with pytest.raises(ApiError) as refused:
        Guard(TOKEN).check({"Host": "rebound.example", "Authorization": "Bearer wrong"})
    assert refused.value.code == 403


def test_a_kubeconfig_for_tls_has_the_token_and_the_authority(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    write_kubeconfig(path, "https://127.0.0.1:1", TOKEN, certificate_authority="PEM")
    config: Any = YAML(typ="safe").load(path.read_text())
    assert config["clusters"][0]["cluster"] == {
        "server": "https://127.0.0.1:1",
        "certificate-authority-data": base64.b64encode(b"PEM").decode(),
    }
    assert config["users"][0]["user"]["token"] == TOKEN
    assert config["current-context"] == config["contexts"][0]["name"] == "ecdsim"
    assert config["contexts"][0]["context"]["namespace"] == "higress-system"


def test_a_kubeconfig_without_tls_has_the_token_in_its_url(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    write_kubeconfig(path, "http://127.0.0.1:1/kubernetes", "a/b@c")
    config: Any = YAML(typ="safe").load(path.read_text())
    assert config["clusters"][0]["cluster"]["server"] == "http://ecdsim:a%2Fb%40c@127.0.0.1:1/kubernetes"


def test_a_kubeconfig_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="kubeconfig can't be written: No such file"):
        write_kubeconfig(tmp_path / "nowhere" / "kubeconfig", "https://127.0.0.1:1", TOKEN)


def test_keys_that_come_twice_are_noticed_at_any_depth() -> None:
    body = parse_json(b'{"a": 1, "a": 2, "b": [{"c": 1, "c": 1, "c": 2}]}')
    assert (body.data, body.duplicates) == ({"a": 2, "b": [{"c": 2}]}, ("a", "b[0].c"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "unexpected end of JSON input"),
        (b"{", "unexpected end of JSON input"),
        (b"{x", "invalid character 'x' looking for beginning of object key string"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b"nul", "unexpected end of JSON input"),
        (b"{} x", "invalid character 'x' after top-level value"),
        (b"[NaN]", "invalid character 'N' looking for beginning of value"),
        (b'"\xff"', "invalid UTF-8"),
        (b"[" * 100_000, "exceeded max depth"),
    ],
)
def test_what_is_no_json_is_refused_in_gos_words(text: bytes, said: str) -> None:
    with pytest.raises(BodyError, match="^" + said.replace("{", r"\{")):
        parse_json(text)


def test_whole_numbers_are_integers() -> None:
    assert parse_json(b"[1.0, 1.5, 1e3]").data == [1, 1.5, 1000]


def test_yaml_is_read_as_kubectl_reads_it() -> None:
    assert parse_yaml(b"a: on\nb: 010\n").data == {"a": True, "b": 8}
    with pytest.raises(BodyError, match=r"^yaml: line 2: the key is written twice"):
        parse_yaml(b"a: 1\na: 2\n")


@pytest.mark.parametrize("text", [b"", b"{}", b"k8s\x00", b"k8s\x00\xff\xff", b"k8s\x00\n\x08\n\x02v1\x12\x02No"])
def test_what_is_no_known_protobuf_is_refused(text: bytes) -> None:
    with pytest.raises(BodyError):
        parse_protobuf(text)


def test_values_as_go_prints_them() -> None:
    assert go_text({"b": [1, True, None], "a": {"c": "x"}}) == "map[a:map[c:x] b:[1 true <nil>]]"


@pytest.mark.parametrize(
    ("resource", "content", "said"),
    [
        (HIGRESS_PLUGINS, {"metadata": {"name": 5}}, "number into Go struct field ObjectMeta.name of type string"),
        (HIGRESS_PLUGINS, {"metadata": []}, "array into Go value of type v1.ObjectMeta"),
        (
            INGRESSES,
            {"metadata": {"labels": [1]}},
            "array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (INGRESSES, {"spec": 1.5}, "number into Go struct field Ingress.spec of type v1.IngressSpec"),
        (
            INGRESSES,
            {"spec": {"rules": [{"http": {"paths": [{"path": True}]}}]}},
            "bool into Go struct field HTTPIngressPath.spec.rules.http.paths.path of type string",
        ),
        (
            INGRESSES,
            {"spec": {"tls": [{"hosts": "a"}]}},
            "string into Go struct field IngressTLS.spec.tls.hosts of type []string",
        ),
    ],
)
def test_a_wrong_type_is_named_as_gos_decoder_names_it(resource: Resource, content: dict[str, Any], said: str) -> None:
    body = parse_json(b"{}")
    whole = {"apiVersion": resource.api_version, "kind": resource.kind, **content}
    with pytest.raises(ApiError) as refused:
        decode(type(body)(b"{}", whole), resource)
    assert refused.value.message.endswith(f": json: cannot unmarshal {said}")


@pytest.mark.parametrize(
    ("header", "form", "media_type"),
    [
        ("", "object", "application/json"),
        ("*/*", "object", "application/json"),
        ("application/yaml", "object", "application/yaml"),
        ("application/vnd.kubernetes.protobuf,application/json", "object", "application/json"),
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "Table", "application/json"),
        ("application/json;as=Table;v=v9;g=meta.k8s.io, application/json", "object", "application/json"),
        (
            "application/json; as=PartialObjectMetadata; g=meta.k8s.io; v=v1",
            "PartialObjectMetadata",
            "application/json",
        ),
    ],
)
def test_the_first_representation_that_is_known_is_taken(header: str, form: str, media_type: str) -> None:
    taken = accepted(header)
    assert (taken.form, taken.media_type) == (form, media_type)
