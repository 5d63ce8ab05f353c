"""What the probe is told: one JSON object, the first line of its standard input."""

from __future__ import annotations

import json
from dataclasses import dataclass

import h11

#: Headers that differ from response to response and say nothing about who answered.
VOLATILE_HEADERS = frozenset(
    {
        "age",
        "date",
        "req-arrive-time",
        "req-cost-time",
        "resp-start-time",
        "x-envoy-upstream-service-time",
        "x-request-id",
    }
)


#: stream: one response that goes on; websocket: messages that come back.
PROTOCOLS = ("http/1.1", "http/2", "stream", "websocket")


@dataclass(frozen=True, slots=True)
class Settings:
    """One load: where to, what, how often.

    `fail_status` lists what counts as failed: a code (`429`) or a class (`"5xx"`). `version_header` is the header
    that survives longest when responses turn out too varied to be told apart in full.
    """

    name: str
    host: str
    port: int
    rate_per_s: float
    connections: int
    request: h11.Request
    body: bytes
    timeout_ns: int
    failing: frozenset[int]
    version_header: bytes | None
    protocol: str = PROTOCOLS[0]

    @classmethod
    def from_line(cls, line: bytes) -> Settings:
        """Read the line. Raises ValueError for anything that can't be used."""
        given = json.loads(line)
        if not isinstance(given, dict):
            raise ValueError("the configuration must be a JSON object")
        try:
            host, port = str(given["host"]), int(given["port"])
            rate_per_s = float(given["rate_per_s"])
        except KeyError as missing:
            raise ValueError(f"the configuration lacks {missing}") from None
        connections = int(given.get("connections", 1))
        if rate_per_s < 0 or connections < 1:
            raise ValueError("rate_per_s must not be negative and connections must be at least 1")
        protocol = str(given.get("protocol") or PROTOCOLS[0])
        if protocol not in PROTOCOLS:
            raise ValueError(f"no protocol {protocol!r}; there is {', '.join(PROTOCOLS)}")
        body = str(given.get("body") or "").encode()
        header = (given.get("version") or {}).get("header")
        return cls(
            name=str(given.get("name", "probe")),
            host=host,
            port=port,
            rate_per_s=rate_per_s,
            connections=connections,
            request=_request(given, str(given.get("authority") or f"{host}:{port}"), body),
            body=body,
            timeout_ns=round(float(given.get("timeout_ms", 5000)) * 1e6),
            failing=failing_codes(given.get("fail_status", ["5xx"])),
            version_header=header.lower().encode() if header else None,
            protocol=protocol,
        )


def failing_codes(listed: list[str | int]) -> frozenset[int]:
    """The status codes that `listed` names, classes such as `5xx` spelled out. Raises ValueError."""
    codes: set[int] = set()
    for entry in listed:
        text = str(entry).lower()
        if len(text) == 3 and text.endswith("xx"):
            first = int(text[0]) * 100
            codes.update(range(first, first + 100))
        else:
            codes.add(int(text))
    return frozenset(codes)


def _request(given: dict[str, object], authority: str, body: bytes) -> h11.Request:
    headers: list[tuple[str, str]] = [("host", authority)]
    extra = given.get("headers") or {}
    if not isinstance(extra, dict):
        raise ValueError("headers must be an object of strings")
    headers.extend((str(name), str(value)) for name, value in extra.items())
    if body:
        headers.append(("content-length", str(len(body))))
    try:
        return h11.Request(method=str(given.get("method", "GET")), target=str(given.get("path", "/")), headers=headers)
    except h11.LocalProtocolError as error:
        raise ValueError(f"not a request that HTTP/1.1 can carry: {error}") from error
