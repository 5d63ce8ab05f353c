"""Option values read from their text: Go durations, lists and labels. Each raises click.BadParameter."""

from __future__ import annotations

import click

from sim.model import parse_go_duration_s


def duration_s(text: str) -> float:
    """Seconds from a duration as Go writes it, such as `100ms` or `1h30m`."""
    try:
        return parse_go_duration_s(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def positive_duration_s(text: str) -> float:
    """The same, but some time at least."""
    seconds = duration_s(text)
    if seconds <= 0:
        raise click.BadParameter(f"{text!r} is no time at all; write for instance 1h")
    return seconds


def requests_per_s(text: str) -> float:
    """A rate as scenarios have it, `200/s` or `30/m`; a bare number is one by the second."""
    from sim.scenario.quantities import parse_rate_per_s

    try:
        rate = parse_rate_per_s(text if "/" in text else f"{text}/s")
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if rate <= 0:
        raise click.BadParameter(f"{text!r} is no traffic at all; write for instance 200/s")
    return rate


def names(text: str) -> frozenset[str]:
    """Names, separated by commas; white space around them is nothing."""
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def labels(text: str) -> dict[str, str]:
    """`key=value`, separated by commas."""
    found: dict[str, str] = {}
    for pair in text.split(","):
        key, separator, content = pair.strip().partition("=")
        if not key or not separator:
            raise click.BadParameter(f"{pair!r} is no label; write key=value, such as higress=gateway")
        found[key] = content
    return found
