"""References: what pilot-agent reads in an image URL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InvalidInput
from sim.oci import Reference, parse_image_url, parse_reference

SHA256 = "sha256:" + "a1" * 32
SHA512 = "sha512:" + "b2" * 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("oci://127.0.0.1:15501/plugins/demo:5.0.0", Reference("127.0.0.1:15501", "plugins/demo", "5.0.0")),
        ("hub.example.com/team/block", Reference("hub.example.com", "team/block", "latest")),
        (f"oci://hub.example.com/a1@{SHA256}", Reference("hub.example.com", "a1", None, SHA256)),
        (f"hub.example.com/a1:2.0.0@{SHA512}", Reference("hub.example.com", "a1", "2.0.0", SHA512)),
        ("[::1]:5000/some/block:x", Reference("[::1]:5000", "some/block", "x")),
        ("localhost:5000/block", Reference("localhost:5000", "block", "latest")),
        ("hub.example.com/a.b/c_d/e__f/g--h:T_1.x-y", Reference("hub.example.com", "a.b/c_d/e__f/g--h", "T_1.x-y")),
        ("my_registry.local:5000/block", Reference("my_registry.local:5000", "block", "latest")),
        ("HUB.Example.com./block", Reference("HUB.Example.com.", "block", "latest")),
        # Docker Hub's short names
        ("busybox", Reference("index.docker.io", "library/busybox", "latest")),
        ("foo/bar:1", Reference("index.docker.io", "foo/bar", "1")),
        ("docker.io/busybox:1", Reference("index.docker.io", "library/busybox", "1")),
        # go-containerregistry knows no bare localhost: a registry has a dot or a port.
        ("localhost/block:1", Reference("index.docker.io", "localhost/block", "1")),
    ],
)
def test_a_reference_is_read_as_pilot_agent_reads_it(text: str, expected: Reference) -> None:
    assert parse_reference(text) == expected


def test_the_name_leaves_out_tag_and_digest() -> None:
    assert parse_reference(f"hub.example.com/team/block:1@{SHA256}").name == "hub.example.com/team/block"


def test_a_digest_decides_over_a_tag() -> None:
    assert parse_reference(f"hub.example.com/team/block:1@{SHA256}").identifier == SHA256
    assert parse_reference("hub.example.com/team/block:1").identifier == "1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is empty"),
        ("oci://", "it is empty"),
        ("https://hub.example.com/block:1", "its scheme 'https' is not oci"),
        (" hub.example.com/block", "white space"),
        ("hub.example.com/Team/block:1", "write 'team'"),
        ("hub.example.com/team//block", "'' can't be part of a repository"),
        ("hub.example.com/team/-block", "'-block' can't be part of a repository"),
        ("hub.example.com/team/../block", "'..' can't be part of a repository"),
        ("hub.example.com/", "no repository"),
        ("hub.example.com/team/block:", "no tag after the last ':'"),
        ("hub.example.com/team/block:-x", "'-x' is not a tag"),
        ("hub.example.com/team/block:" + "x" * 129, "is not a tag"),
        ("hub.example.com/team/block@sha256:abc", "'sha256:abc' is not a digest"),
        (f"hub.example.com/team/block@{SHA256.upper()}", "is not a digest"),
        (f"hub.example.com/team/block@md5:{'0' * 32}", "is not a digest"),
        ("hub.example.com/team/block@", "'' is not a digest"),
        ("hub.example.com:0/block", "0 is not a port"),
        ("hub.example.com:65536/block", "65536 is not a port"),
        ("hub.example.com:port/block", "'hub.example.com:port' is not a registry"),
        ("hub..example/block", "'hub..example' is not a registry"),
        ("hub.example.com/" + "a/" * 130 + "b", "has 261 characters"),
        ("x", "its repository has 1 characters"),
    ],
)
def test_a_refusal_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_reference(text)
    assert says in str(refused.value)
    assert refused.value.hint


_component = st.from_regex(r"[a-z0-9]{1,8}((\.|_|__|-)[a-z0-9]{1,4})?", fullmatch=True)
_references = st.builds(
    Reference,
    st.sampled_from(["hub.example.com", "127.0.0.1:5000", "localhost:80", "[::1]:5000"]),
    st.lists(_component, min_size=1, max_size=4).map("/".join).filter(lambda name: len(name) > 1),
    st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True),
    st.none() | st.sampled_from([SHA256, SHA512]),
)


@given(_references)
def test_what_is_written_reads_back_as_the_same(reference: Reference) -> None:
    assert parse_reference(str(reference)) == reference
    assert parse_reference(reference.url) == reference


@given(st.text(max_size=60))
def test_any_text_is_either_read_or_refused_and_reads_back(text: str) -> None:
    try:
        reference = parse_reference(text)
    except InvalidInput:
        return
    assert parse_reference(str(reference)) == reference


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("oci://hub.example.com/team/block:1.0.0", Reference("hub.example.com", "team/block", "1.0.0")),
        ("oci://hub.example.com:5000/block", Reference("hub.example.com:5000", "block", "latest")),
        (f"oci://hub.example.com/block:1@{SHA256}", Reference("hub.example.com", "block", "1", SHA256)),
        ("oci://[::1]:5000/block:1", Reference("[::1]:5000", "block", "1")),
        ("oci://localhost:5000/block:1", Reference("localhost:5000", "block", "1")),
        ("oci://localhost/block:1", Reference("index.docker.io", "localhost/block", "1")),
        ("oci://block:1", Reference("index.docker.io", "library/block", "1")),
        # Of a URL only host and path count.
        ("oci://hub.example.com/block:1?x=2", Reference("hub.example.com", "block", "1")),
        ("oci://hub.example.com/block:1#x", Reference("hub.example.com", "block", "1")),
        ("oci://alice:s3cret@hub.example.com/block:1", Reference("hub.example.com", "block", "1")),
        ("oci://hub.example.com/team%2Fblock%3A1", Reference("hub.example.com", "team/block", "1")),
        ("oci://hub.example.com/block:", Reference("hub.example.com", "block", "latest")),
    ],
)
def test_a_plugins_url_is_read_as_pilot_agent_reads_it(url: str, expected: Reference) -> None:
    assert parse_image_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "oci://",
        "oci://block:v1",
        "oci://hub.example.com:port/block",
        "oci://hub.example.com/block:%zz",
        "oci://hub.example.com/block:1%",
        f"oci://hub.example.com/block@{SHA512}",
        f"oci://block@{SHA256}",
        "oci://hub.example.com/Team/block:1",
        "oci://hub.example.com/",
        f"oci://hub.example.com/block@{SHA256}@{SHA256}",
    ],
)
def test_what_pilot_agent_cannot_read_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_image_url(url)
    assert refused.value.hint
