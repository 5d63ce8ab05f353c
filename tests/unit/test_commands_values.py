"""What options may look like, and what is said of those that may not."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from sim.commands.addresses import (
    Address,
    UnixAddress,
    address,
    check_free,
    envoy_listen_address,
    ip_address,
    listen_address,
    socket_removed,
)
from sim.commands.values import duration_s, labels, names, positive_duration_s, requests_per_s
from sim.errors import EnvironmentProblem
from sim.model import parse_duration_s, parse_go_duration_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("100ms", 0.1),
        ("1h30m", 5400),
        ("0s", 0),
        ("0", 0),
        ("500us", 0.0005),
        ("500µs", 0.0005),
        ("500μs", 0.0005),
        ("20ns", 2e-8),
        (".5s", 0.5),
        ("1.s", 1),
        ("+2m", 120),
        ("1h1m1s1ms", 3661.001),
    ],
)
def test_durations_are_read_as_go_reads_them(text: str, seconds: float) -> None:
    assert parse_go_duration_s(text) == pytest.approx(seconds)
    assert duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "-1s", "1 s", "s", ".s", "1d", "1h x", "+", "9999999h", "１s", "1e3s", "00"])
def test_what_go_refuses_or_no_time_can_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_go_duration_s(text)
    with pytest.raises(click.BadParameter, match="such as 100ms"):
        duration_s(text)


@pytest.mark.parametrize("text", ["500us", "20ns", "0", ".5s", "1.s", "+2m"])
def test_a_scenario_still_refuses_what_only_go_takes(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration_s(text)


def test_an_interval_is_some_time_at_least() -> None:
    assert positive_duration_s("1ns") > 0
    with pytest.raises(click.BadParameter, match="no time at all"):
        positive_duration_s("0s")


def test_lists_and_labels_are_separated_by_commas() -> None:
    assert names(" a.example.com, b.example.com:5000,,") == {"a.example.com", "b.example.com:5000"}
    assert names("") == frozenset()
    assert labels("higress=gateway, app=,a=b=c") == {"higress": "gateway", "app": "", "a": "b=c"}
    with pytest.raises(click.BadParameter, match="write key=value"):
        labels("higress")


@pytest.mark.parametrize(
    ("text", "host", "port"), [("127.0.0.1:15010", "127.0.0.1", 15010), ("istiod.example:1", "istiod.example", 1)]
)
def test_an_address_is_host_and_port(text: str, host: str, port: int) -> None:
    assert address(text) == Address(host, port)
    assert str(address(text)) == text


def test_an_ipv6_host_stands_in_brackets() -> None:
    assert address("[::1]:15010") == Address("::1", 15010)
    assert str(Address("::1", 15010)) == "[::1]:15010"
    for text in ("::1:15010", "[localhost]:1"):
        with pytest.raises(click.BadParameter, match=r"\[::1\]:15010"):
            address(text)


@pytest.mark.parametrize("text", ["", "15010", ":15010", "127.0.0.1", "127.0.0.1:", "a b:1", "http://a:1"])
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"127\.0\.0\.1:15010|\[::1\]"):
        listen_address(text)


@pytest.mark.parametrize("port", ["65536", "-1", "http", "１"])
def test_what_is_no_port_is_refused(port: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a port"):
        listen_address(f"127.0.0.1:{port}")


def test_port_0_is_only_for_listening() -> None:
    assert listen_address("127.0.0.1:0").port == 0
    with pytest.raises(click.BadParameter, match="from 1 to 65535"):
        address("127.0.0.1:0")


def test_envoy_looks_no_name_up() -> None:
    assert ip_address("127.0.0.1:80").port == 80
    for read in (ip_address, envoy_listen_address):
        with pytest.raises(click.BadParameter, match="no IP address"):
            read("localhost:80")


def test_a_unix_socket_has_a_path_that_fits() -> None:
    assert envoy_listen_address("unix:/tmp/xds.sock") == UnixAddress(Path("/tmp/xds.sock"))
    assert str(envoy_listen_address("unix:xds.sock")) == "unix:xds.sock"
    with pytest.raises(click.BadParameter, match="names no path"):
        envoy_listen_address("unix:")
    with pytest.raises(click.BadParameter, match="may have 107"):
        envoy_listen_address(f"unix:/{'x' * 107}")


def test_a_taken_port_is_told_before_anything_starts() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentProblem, match=f"core can't listen on 127.0.0.1:{port}") as raised:
            check_free("core", Address("127.0.0.1", port))
    assert raised.value.hint and "port 0" in raised.value.hint
    check_free("core", Address("127.0.0.1", port))


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(EnvironmentProblem, match=r"can't listen on 192\.0\.2\.1:1234"):
        check_free("core", Address("192.0.2.1", 1234))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def test_a_socket_that_somebody_listens_on_is_left_alone(folder: Path) -> None:
    path = folder / "xds.sock"
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(path))
        taken.listen()
        with pytest.raises(EnvironmentProblem, match="another process listens there"):
            check_free("agent", UnixAddress(path))
    assert path.exists()


def test_a_socket_that_a_killed_process_left_is_cleared_away(folder: Path) -> None:
    path = folder / "xds.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    check_free("agent", UnixAddress(path))
    assert not path.exists()


def test_a_file_in_the_place_of_a_socket_stays(folder: Path) -> None:
    path = folder / "xds.sock"
    path.write_text("mine")
    with pytest.raises(EnvironmentProblem, match="something else is there"):
        check_free("agent", UnixAddress(path))
    assert path.read_text() == "mine"


def test_a_socket_needs_its_folder(folder: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="there is no folder"):
        check_free("agent", UnixAddress(folder / "nowhere" / "xds.sock"))


def test_a_socket_is_gone_when_its_part_is(folder: Path) -> None:
    path = folder / "xds.sock"
    with socket.socket(socket.AF_UNIX) as made, socket_removed(UnixAddress(path)):
        made.bind(str(path))
    assert not path.exists()


@pytest.mark.parametrize(("text", "rate"), [("200/s", 200), ("30/m", 0.5), ("500", 500), ("0.5", 0.5)])
def test_a_rate_may_leave_out_that_it_is_by_the_second(text: str, rate: float) -> None:
    assert requests_per_s(text) == rate


@pytest.mark.parametrize("text", ["0", "0/s", "-1", "ten", "10/h", "", "/s", "nan"])
def test_what_is_no_rate_is_refused_with_what_would_be_one(text: str) -> None:
    with pytest.raises(click.BadParameter, match="200/s"):
        requests_per_s(text)
