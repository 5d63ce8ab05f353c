"""Pull secrets, challenges and endpoints: who is asked, how, and what it is told."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from sim.oci import Credentials, Endpoint, Endpoints, FetchError, credentials_for
from sim.oci.auth import Challenge, read_challenge

ALICE = base64.b64encode(b"alice:se:cret").decode()


def secret(auths: Any) -> bytes:
    return json.dumps({"auths": auths}).encode()


@pytest.mark.parametrize(
    "auths",
    [
        {"hub.example.com:5000": {"auth": ALICE}},
        {"hub.example.com:5000": {"username": "alice", "password": "se:cret"}},
        {"hub.example.com:5000": {"username": "old", "password": "old", "auth": ALICE}},
        {"https://hub.example.com:5000/v1/": {"auth": ALICE}},
        {"hub.example.com": {"auth": "!"}, "hub.example.com:5000": {"auth": ALICE}},
    ],
)
def test_a_secret_gives_the_name_and_password_for_its_registry(auths: Any) -> None:
    found = credentials_for("hub.example.com:5000", secret(auths))
    assert (found.user, found.password) == ("alice", "se:cret")
    assert found.basic == "Basic " + ALICE


@pytest.mark.parametrize(
    "content", [None, b"{}", secret({}), secret(None), secret({"other.example.com": {"auth": ALICE}})]
)
def test_without_an_entry_the_pull_is_anonymous(content: bytes | None) -> None:
    assert credentials_for("hub.example.com", content).anonymous


def test_docker_hub_is_found_under_its_own_key() -> None:
    found = credentials_for("index.docker.io", secret({"https://index.docker.io/v1/": {"auth": ALICE}}))
    assert found.user == "alice"


@pytest.mark.parametrize(
    "content",
    [
        b"null",
        b"",
        b"{broken",
        b"[]",
        secret([1]),
        secret({"hub.example.com": "x"}),
        secret({"hub.example.com": {"auth": "no base64!"}}),
        secret({"hub.example.com": {"auth": base64.b64encode(b"no colon").decode()}}),
    ],
)
def test_a_secret_that_cannot_be_read_is_refused(content: bytes) -> None:
    with pytest.raises(FetchError, match="pull secret"):
        credentials_for("hub.example.com", content)


def test_credentials_do_not_show_their_secrets() -> None:
    assert "cret" not in repr(Credentials("alice", "se:cret", "id-cret", "token-cret"))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (['Basic realm="x"'], Challenge("basic", {"realm": "x"})),
        (
            ['Bearer realm="http://h/t?a=1,2",service="s",scope="repository:a/b:pull,push"'],
            Challenge("bearer", {"realm": "http://h/t?a=1,2", "service": "s", "scope": "repository:a/b:pull,push"}),
        ),
        (["Negotiate", "bearer Realm=abc"], Challenge("bearer", {"realm": "abc"})),
        (["Negotiate"], None),
        ([], None),
    ],
)
def test_a_challenge_is_read(headers: list[str], expected: Challenge | None) -> None:
    assert read_challenge(headers) == expected


def test_a_mirror_answers_for_its_registry_and_no_other() -> None:
    endpoints = Endpoints({"hub.example.com": "127.0.0.1:5000", "tls.example.com": "https://127.0.0.1:5001/"})
    assert endpoints.of("hub.example.com") == [Endpoint("http://127.0.0.1:5000")]
    assert endpoints.of("tls.example.com") == [Endpoint("https://127.0.0.1:5001")]
    assert endpoints.of("other.example.com") == [Endpoint("https://other.example.com")]


def test_a_registry_that_is_not_allowed_is_refused_and_a_mirrored_one_needs_no_leave() -> None:
    endpoints = Endpoints({"hub.example.com": "127.0.0.1:5000"}, allowed=["good.example.com"])
    assert endpoints.of("hub.example.com")
    assert endpoints.of("good.example.com")
    with pytest.raises(FetchError, match=r"bad\.example\.com may not be reached"):
        endpoints.of("bad.example.com")


@pytest.mark.parametrize(
    "registry", ["127.0.0.1:1", "localhost", "a.localhost:5", "10.1.2.3", "192.168.0.9:80", "[::1]:5"]
)
def test_local_addresses_speak_plain_http_and_tls_first_where_a_ca_is_given(registry: str) -> None:
    plain, secure = Endpoint(f"http://{registry}"), Endpoint(f"https://{registry}")
    assert Endpoints({}).of(registry) == [plain]
    assert Endpoints({}, tls=True).of(registry) == [secure, plain]


@pytest.mark.parametrize("registry", ["hub.example.com", "8.8.8.8", "172.32.0.1", "notlocalhost:80"])
def test_other_addresses_are_asked_by_tls(registry: str) -> None:
    assert Endpoints({}).of(registry) == [Endpoint(f"https://{registry}")]


def test_an_insecure_registry_is_not_verified_and_may_speak_plain_http() -> None:
    assert Endpoints({}, insecure=["hub.example.com"]).of("hub.example.com") == [
        Endpoint("https://hub.example.com", verify=False),
        Endpoint("http://hub.example.com"),
    ]
