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
        {"http://bob@hub.example.com:5000/v1/": {"auth": ALICE}},
        {"hub.example.com:5000/team": {"auth": ALICE}},
        {"hub.example.com": {"auth": base64.b64encode(b"bob:x").decode()}, "hub.example.com:5000": {"auth": ALICE}},
        {"hub.example.com:5000": {"auth": ALICE[:4] + "\n" + ALICE[4:]}},
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
    assert credentials_for("hub.example.com", content) == Credentials()


def test_a_helper_for_another_registry_is_of_no_account() -> None:
    content = json.dumps({"credHelpers": {"other.example.com": "x"}, "auths": {"hub.example.com": {"auth": ALICE}}})
    assert credentials_for("hub.example.com", content.encode()).user == "alice"


def test_a_password_is_bytes_whatever_they_spell() -> None:
    auth = base64.b64encode(b"alice:caf\xe9\x00\x00").decode()
    found = credentials_for("hub.example.com", secret({"hub.example.com": {"auth": auth}}))
    assert found.basic == "Basic " + base64.b64encode(b"alice:caf\xe9").decode()


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
        secret({"hub.example.com": {"auth": base64.b64encode(b":no user").decode()}}),
        secret({"hub.example.com": {"username": 1, "password": "x"}}),
        # One entry that can't be read spoils all, as for the real agent.
        secret({"hub.example.com": {"auth": ALICE}, "other.example.com": {"auth": "!"}}),
        b'{"auths":' + b"[" * 100_000,
        b'{"credsStore": "desktop", "auths": {}}',
        b'{"credHelpers": {"hub.example.com": "gcloud"}}',
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
    "registry",
    [
        *("127.0.0.1:1", "localhost:5", "a.localhost:5", "registry.local", "registry.local:5", "10.1.2.3"),
        *("192.168.0.9:80", "172.31.0.1", "[::1]:5"),
        # go-containerregistry looks for these two anywhere.
        *("127.0.0.1.example.com", "[2001:db8::1]:5"),
    ],
)
def test_local_addresses_may_speak_plain_http(registry: str) -> None:
    assert Endpoints({}).of(registry) == [Endpoint(f"https://{registry}"), Endpoint(f"http://{registry}")]


@pytest.mark.parametrize(
    "registry", ["hub.example.com", "8.8.8.8", "172.32.0.1", "127.0.0.2", "notlocalhost:80", "local:5", "a.locally"]
)
def test_other_addresses_are_asked_by_tls(registry: str) -> None:
    assert Endpoints({}).of(registry) == [Endpoint(f"https://{registry}")]


@pytest.mark.parametrize("insecure", ["hub.example.com", "*"])
def test_an_insecure_registry_is_not_verified(insecure: str) -> None:
    assert Endpoints({}, insecure=[insecure]).of("hub.example.com") == [
        Endpoint("https://hub.example.com", verify=False)
    ]
    assert Endpoints({}, insecure=[insecure]).of("other.example.com") == [
        Endpoint("https://other.example.com", verify=insecure != "*")
    ]


@pytest.mark.parametrize(
    ("credentials", "standing"),
    [
        (Credentials(), None),
        (Credentials("alice", "se:cret"), "Basic " + ALICE),
        (Credentials("alice", ""), None),
        (Credentials("alice", "se:cret", registry_token="t"), "Bearer t"),
        (Credentials("alice", "", identity_token="t"), None),
    ],
)
def test_what_a_registry_is_told_unasked(credentials: Credentials, standing: str | None) -> None:
    assert credentials.standing == standing
