"""What each proxy was sent and acknowledged, from istiod's /debug/syncz.

The states are istiod's own (pilot/pkg/xds/statusgen.go), the columns those of istioctl proxy-status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sim.model import CDS, ECDS, EDS, LDS, RDS, short_name
from sim.report.columns import Table

State = Literal["SYNCED", "STALE", "NOT SENT", "ERROR", "IGNORED"]

#: The types that have a column, in its order, and what their keys in syncz begin with.
_COLUMNS = {CDS: "cluster", LDS: "listener", EDS: "endpoint", RDS: "route", ECDS: "extensionconfig"}

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class TypeStatus:
    """One type of one proxy: the nonces of the newest response and of the newest ACK, and why it was refused."""

    sent: str
    acked: str
    sent_at: datetime | None = None
    error: str = ""

    @property
    def state(self) -> State:
        if self.error:
            return "ERROR"
        if not self.sent:
            return "NOT SENT"
        return "SYNCED" if self.sent == self.acked else "STALE"

    def cell(self, now: datetime) -> str:
        """The state, and in brackets for how long it is so."""
        if self.sent_at is None or self.state == "NOT SENT":
            return self.state
        return f"{self.state} ({age((now - self.sent_at).total_seconds())})"

    def as_json(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "sent": self.sent or None,
            "acked": self.acked or None,
            "sent_at": None if self.sent_at is None else self.sent_at.isoformat().replace("+00:00", "Z"),
            "error": self.error or None,
        }


@dataclass(frozen=True, slots=True)
class ProxyStatus:
    """One proxy. A type that it does not watch is not in `types`, by type URL."""

    name: str
    cluster: str
    version: str
    types: Mapping[str, TypeStatus]

    def as_json(self, istiod: str) -> dict[str, Any]:
        """`istiod` is who said it."""
        return {
            "name": self.name,
            "cluster": self.cluster or None,
            "istiod": istiod,
            "version": self.version or None,
            "types": {short_name(type_url): status.as_json() for type_url, status in self.types.items()},
        }


def read_syncz(data: Any) -> list[ProxyStatus]:
    """The proxies of a /debug/syncz, by name. Raises ValueError for what is none.

    istiod before 1.27 does not tell which types a proxy watches: all five are taken for watched.
    """
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        raise ValueError("it is no list of objects")
    return sorted((_proxy(entry) for entry in data), key=lambda proxy: proxy.name)


def table(proxies: Sequence[ProxyStatus], istiod: str, now: datetime | None = None) -> Table:
    """One row a proxy. `istiod` is who said it; `now` is the moment that ages are counted to."""
    moment = now or datetime.now(UTC)
    rows = []
    for proxy in proxies:
        cells = [proxy.types[type_url].cell(moment) if type_url in proxy.types else "IGNORED" for type_url in _COLUMNS]
        rows.append([proxy.name, proxy.cluster or "-", *cells, istiod, proxy.version or "-"])
    return Table(["NAME", "CLUSTER", *map(short_name, _COLUMNS), "ISTIOD", "VERSION"], rows)


def age(seconds: float) -> str:
    """`8s`, `3m7s`, `42m`, `5h12m`, `20h`, `3d4h`, `12d`: as kubectl says an age."""
    whole = max(0, int(seconds))
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if whole < 3 * _HOUR:
        minutes, rest = divmod(whole, _MINUTE)
        return f"{minutes}m{rest}s" if minutes < 10 and rest else f"{minutes}m"
    if whole < 2 * _DAY:
        hours, rest = divmod(whole // _MINUTE, 60)
        return f"{hours}h{rest}m" if hours < 8 and rest else f"{hours}h"
    days, rest = divmod(whole // _HOUR, 24)
    return f"{days}d{rest}h" if days < 8 and rest else f"{days}d"


def _proxy(entry: Mapping[str, Any]) -> ProxyStatus:
    told = entry.get("resources")
    types: dict[str, TypeStatus] = {}
    if isinstance(told, dict):
        for type_url, found in told.items():
            if isinstance(found, dict):
                types[type_url] = TypeStatus(
                    sent=_text(found, "sent"),
                    acked=_text(found, "acked"),
                    sent_at=_moment(_text(found, "sentTime")),
                    error=_text(found, "lastError"),
                )
    else:
        for type_url, key in _COLUMNS.items():
            types[type_url] = TypeStatus(_text(entry, f"{key}_sent"), _text(entry, f"{key}_acked"))
    return ProxyStatus(_text(entry, "proxy"), _text(entry, "cluster_id"), _text(entry, "istio_version"), types)


def _text(entry: Mapping[str, Any], key: str) -> str:
    found = entry.get(key)
    return found if isinstance(found, str) else ""


def _moment(text: str) -> datetime | None:
    """Go's time; its zero value, before anything was sent, is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None and found.year > 1 else None
