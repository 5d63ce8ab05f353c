"""A registry's own certificate authority: OpenSSL, which has no part in making it, is the judge."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import pytest

from sim.oci.private_ca import PrivateCa


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> Mapping[str, object]:
    """A whole TLS handshake in memory; the server's certificate as the client took it. Raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting = list(ends)
    while waiting:
        for end in tuple(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
    return ends[0].getpeercert() or {}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_whoever_trusts_the_authority_takes_the_server_under_each_of_its_names(host: str) -> None:
    ca = PrivateCa("127.0.0.1", "localhost")
    taken = shake_hands(ca.server_context(), ca.client_context(), host)
    assert taken["subjectAltName"] == (("IP Address", "127.0.0.1"), ("DNS", "localhost"))


def test_the_server_is_refused_under_another_name() -> None:
    ca = PrivateCa("127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        shake_hands(ca.server_context(), ca.client_context(), "127.0.0.2")


def test_nobody_else_trusts_it_not_even_another_authority_of_the_same_name() -> None:
    ca = PrivateCa("127.0.0.1")
    for client in (ssl.create_default_context(), PrivateCa("127.0.0.1").client_context()):
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(ca.server_context(), client, "127.0.0.1")


def test_the_strictest_reading_of_the_standard_takes_it_too() -> None:
    ca = PrivateCa("127.0.0.1")
    strict = ca.client_context()
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    assert shake_hands(ca.server_context(), strict, "127.0.0.1")


def test_keys_are_fresh_each_time_and_not_to_be_seen() -> None:
    one, other = PrivateCa("127.0.0.1"), PrivateCa("127.0.0.1")
    assert one.ca_pem != other.ca_pem
    assert "PRIVATE" not in one.ca_pem
    assert "secret" not in repr(vars(one))
