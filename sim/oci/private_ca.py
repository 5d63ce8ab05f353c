"""A certificate authority of one's own, made for a run and forgotten after it: for a registry that speaks TLS.

Keys are on P-256, certificates follow RFC 5280, signatures FIPS 186-5. Written out here because neither Python nor
any package that ecdsim needs can issue a certificate, and a key in the repository would be everybody's. It guards
nothing but a loopback port for the length of a run: nothing here withstands an attacker who can time it.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import secrets
import ssl
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

_LIFETIME = timedelta(days=2)

# The curve P-256 (FIPS 186-5, SP 800-186): y² = x³ - 3x + b over the integers modulo p, G of order n.
_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)

_Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Key:
    secret: int = field(default_factory=lambda: 1 + secrets.randbelow(_N - 1), repr=False)

    @property
    def public(self) -> bytes:
        """The point, uncompressed."""
        point = _times(self.secret, _G)
        assert point is not None
        return b"\x04" + b"".join(coordinate.to_bytes(32, "big") for coordinate in point)

    def sign(self, message: bytes) -> bytes:
        """ECDSA with SHA-256, as DER."""
        digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
        while True:
            nonce = 1 + secrets.randbelow(_N - 1)
            point = _times(nonce, _G)
            assert point is not None
            r = point[0] % _N
            s = pow(nonce, -1, _N) * (digest + r * self.secret) % _N
            if r and s:
                return _sequence(_integer(r), _integer(s))

    def pem(self) -> str:
        """As RFC 5915 has it."""
        curve = _tagged(0, _oid("1.2.840.10045.3.1.7"))
        private = _der(0x04, self.secret.to_bytes(32, "big"))
        return _pem("EC PRIVATE KEY", _sequence(_integer(1), private, curve, _tagged(1, _bits(self.public))))


class PrivateCa:
    """An authority and the certificate of the one server that it vouches for.

    `hosts` are the server's IP addresses and DNS names. Both are good for two days.
    """

    def __init__(self, *hosts: str) -> None:
        ca_key, self._server_key = _Key(), _Key()
        ca_name, server_name = "ecdsim private CA", hosts[0]
        ca_extensions = (
            _extension("2.5.29.19", _sequence(_der(0x01, b"\xff")), critical=True),  # basicConstraints: a CA
            _extension("2.5.29.15", _der(0x03, b"\x02\x04"), critical=True),  # keyUsage: keyCertSign
            _extension("2.5.29.14", _der(0x04, _key_id(ca_key))),  # subjectKeyIdentifier
        )
        names = b"".join(_general_name(host) for host in hosts)
        server_extensions = (
            _extension("2.5.29.19", _sequence(), critical=True),
            _extension("2.5.29.15", _der(0x03, b"\x07\x80"), critical=True),  # digitalSignature
            _extension("2.5.29.37", _sequence(_oid("1.3.6.1.5.5.7.3.1"))),  # extKeyUsage: serverAuth
            _extension("2.5.29.17", _der(0x30, names)),  # subjectAltName
            _extension("2.5.29.14", _der(0x04, _key_id(self._server_key))),
            _extension("2.5.29.35", _sequence(_der(0x80, _key_id(ca_key)))),  # authorityKeyIdentifier
        )
        self.ca_pem = _certificate(ca_name, ca_name, ca_key, ca_key, ca_extensions)
        self._server_pem = _certificate(server_name, ca_name, self._server_key, ca_key, server_extensions)

    def server_context(self) -> ssl.SSLContext:
        """For the server that the certificate is for."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # The standard library takes a certificate from a file alone.
        with tempfile.TemporaryDirectory(prefix="ecdsim-ca-") as folder:
            path = Path(folder) / "server.pem"
            path.touch(mode=0o600)
            path.write_text(self._server_key.pem() + self._server_pem)
            context.load_cert_chain(path)
        return context

    def client_context(self) -> ssl.SSLContext:
        """For a client that trusts this authority and no other."""
        return ssl.create_default_context(cadata=self.ca_pem)


def _certificate(subject: str, issuer: str, key: _Key, signer: _Key, extensions: tuple[bytes, ...]) -> str:
    algorithm = _sequence(_oid("1.2.840.10045.4.3.2"))  # ecdsa-with-SHA256
    # An hour ago already: clocks differ.
    begin = datetime.now(UTC) - timedelta(hours=1)
    content = _sequence(
        _tagged(0, _integer(2)),
        _integer(1 + secrets.randbits(64)),
        algorithm,
        _name(issuer),
        _sequence(_time(begin), _time(begin + _LIFETIME)),
        _name(subject),
        _sequence(_sequence(_oid("1.2.840.10045.2.1"), _oid("1.2.840.10045.3.1.7")), _bits(key.public)),
        _tagged(3, _sequence(*extensions)),
    )
    return _pem("CERTIFICATE", _sequence(content, algorithm, _bits(signer.sign(content))))


def _key_id(key: _Key) -> bytes:
    return hashlib.sha256(key.public).digest()[:20]


def _extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    return _sequence(_oid(oid), _der(0x01, b"\xff") if critical else b"", _der(0x04, value))


def _name(common: str) -> bytes:
    return _sequence(_der(0x31, _sequence(_oid("2.5.4.3"), _der(0x0C, common.encode()))))


def _general_name(host: str) -> bytes:
    try:
        return _der(0x87, ipaddress.ip_address(host).packed)
    except ValueError:
        return _der(0x82, host.encode("ascii"))


# -- the curve ------------------------------------------------------------------------------------------------


def _times(factor: int, point: _Point | None) -> _Point | None:
    """The point added to itself so often; None is the point at infinity."""
    total: _Point | None = None
    while factor:
        if factor & 1:
            total = _sum(total, point)
        point = _sum(point, point)
        factor >>= 1
    return total


def _sum(one: _Point | None, other: _Point | None) -> _Point | None:
    if one is None or other is None:
        return other if one is None else one
    if one[0] == other[0] and (one[1] + other[1]) % _P == 0:
        return None
    if one == other:
        slope = (3 * one[0] * one[0] - 3) * pow(2 * one[1], -1, _P) % _P
    else:
        slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, _P) % _P
    x = (slope * slope - one[0] - other[0]) % _P
    return x, (slope * (one[0] - x) - one[1]) % _P


# -- DER (X.690) ----------------------------------------------------------------------------------------------


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size, "big") + content


def _sequence(*parts: bytes) -> bytes:
    return _der(0x30, b"".join(parts))


def _tagged(number: int, content: bytes) -> bytes:
    return _der(0xA0 | number, content)


def _integer(value: int) -> bytes:
    return _der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _bits(content: bytes) -> bytes:
    return _der(0x03, b"\0" + content)


def _oid(text: str) -> bytes:
    first, second, *rest = map(int, text.split("."))
    content = bytes((40 * first + second,))
    for number in rest:
        pieces = [number & 0x7F]
        while number := number >> 7:
            pieces.append(number & 0x7F | 0x80)
        content += bytes(reversed(pieces))
    return _der(0x06, content)


def _time(moment: datetime) -> bytes:
    return _der(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())


def _pem(what: str, content: bytes) -> str:
    encoded = base64.encodebytes(content).decode()
    return f"-----BEGIN {what}-----\n{encoded}-----END {what}-----\n"
