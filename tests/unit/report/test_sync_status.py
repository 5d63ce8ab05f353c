"""What /debug/syncz says, in the columns of proxy-status."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sim.model import CDS, ECDS, EDS, LDS, RDS
from sim.report.sync_status import age, read_syncz, table

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def proxy(**resources: dict[str, str]) -> dict[str, Any]:
    type_urls = {"cds": CDS, "lds": LDS, "eds": EDS, "rds": RDS, "ecds": ECDS}
    return {
        "proxy": "gw-1.team",
        "proxy_type": "router",
        "cluster_id": "Kubernetes",
        "istio_version": "1.27.0",
        "resources": {type_urls[name]: found for name, found in resources.items()},
    }


def cells(data: Any) -> list[str]:
    """The one row, by its cells."""
    (row,) = table(read_syncz(data), "istiod:15014", NOW).rows
    return list(row)


def test_each_type_has_istiods_state_and_its_age() -> None:
    sent = (NOW - timedelta(seconds=200)).isoformat().replace("+00:00", "Z")
    assert cells(
        [
            proxy(
                cds={"sent": "n1", "acked": "n1", "sentTime": sent},
                lds={"sent": "n2", "acked": "n1", "sentTime": sent},
                eds={"sent": "n2", "acked": "n1", "sentTime": sent, "lastError": "no"},
                rds={"sentTime": "0001-01-01T00:00:00Z"},
            )
        ]
    ) == [
        *("gw-1.team", "Kubernetes"),
        *("SYNCED (3m20s)", "STALE (3m20s)", "ERROR (3m20s)", "NOT SENT", "IGNORED"),
        *("istiod:15014", "1.27.0"),
    ]


def test_the_columns_are_those_of_istioctl() -> None:
    assert list(table([], "here").header) == [
        *("NAME", "CLUSTER", "CDS", "LDS", "EDS", "RDS", "ECDS", "ISTIOD", "VERSION")
    ]


def test_an_older_istiod_tells_nonces_alone() -> None:
    old = {"proxy": "gw-1.team", "cluster_sent": "a", "cluster_acked": "a", "listener_sent": "b"}
    assert cells([old])[1:7] == ["-", "SYNCED", "STALE", "NOT SENT", "NOT SENT", "NOT SENT"]


def test_a_type_without_a_time_has_no_age() -> None:
    assert cells([proxy(cds={"sent": "a", "acked": "a"})])[2] == "SYNCED"
    assert cells([proxy(cds={"sent": "a", "acked": "a", "sentTime": "yesterday"})])[2] == "SYNCED"


def test_proxies_are_sorted_by_name() -> None:
    found = read_syncz([{"proxy": "b"}, {"proxy": "a"}])
    assert [each.name for each in found] == ["a", "b"]


def test_programs_get_nonces_times_and_errors() -> None:
    (found,) = read_syncz([proxy(ecds={"sent": "n2", "acked": "n1", "lastError": "why", "sentTime": NOW.isoformat()})])
    assert found.as_json("istiod:15014") == {
        "name": "gw-1.team",
        "cluster": "Kubernetes",
        "istiod": "istiod:15014",
        "version": "1.27.0",
        "types": {
            "ECDS": {"state": "ERROR", "sent": "n2", "acked": "n1", "sent_at": "2026-01-31T12:00:00Z", "error": "why"}
        },
    }


@pytest.mark.parametrize("data", [None, {}, [1], "syncz"])
def test_what_is_no_syncz_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="no list"):
        read_syncz(data)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0s"),
        (0, "0s"),
        (119.9, "119s"),
        (120, "2m"),
        (187, "3m7s"),
        (600, "10m"),
        (3 * 3600, "3h"),
        (5 * 3600 + 12 * 60, "5h12m"),
        (20 * 3600 + 60, "20h"),
        (2 * 86400, "2d"),
        (3 * 86400 + 4 * 3600, "3d4h"),
        (12 * 86400 + 3600, "12d"),
    ],
)
def test_an_age_is_said_as_kubectl_says_it(seconds: float, said: str) -> None:
    assert age(seconds) == said
