"""Why Envoy refused a plugin, or had doubts: the lines of its log that belong to one delivery."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from sim.trace.events import Event
from sim.trace.plugin_words import own_words

#: So many different messages are quoted …
QUOTED = 6
#: … each as far as this.
_QUOTED_CHARACTERS = 400
_COMPLAINTS = ("warning", "error", "critical")
_FAILURE = "Wasm VM failed "
#: Envoy goes on to say that the plugin failed, which is known by then.
_SAYS_NOTHING_NEW = re.compile(
    r"Plugin (\S+ failed to load|configured to fail)"
    rf"|{_FAILURE}Failed to (configure base Wasm plugin|(load|initialize) Wasm code)"
)


def complaints(events: Iterable[Event], plugin: str, since_ns: int, until_ns: int | None) -> list[str]:
    """What was said of the plugin on Envoy's main thread in that time that is worse than `info`, each once.

    The plugin's own words and Envoy's, without their prefixes; of a message of several lines the first.
    """
    found: dict[str, None] = {}
    for event in events:
        if is_complaint(event, plugin) and since_ns <= event.t_ns and (until_ns is None or event.t_ns <= until_ns):
            found.setdefault(quoted(event))
    return list(found)


def is_complaint(event: Event, plugin: str) -> bool:
    """Whether a plugin, or Envoy of it, complains on the main thread, where it is configured first."""
    return (
        event.event == "envoy.log"
        and event.plugin == plugin
        and event.data.get("level") in _COMPLAINTS
        and "component" not in event.data
        and event.data.get("worker") is None
        and _SAYS_NOTHING_NEW.match(str(event.data.get("text"))) is None
    )


def is_warning(event: Event, plugin: str) -> bool:
    """Whether it is the plugin itself that warns there."""
    said_by_plugin = own_words(str(event.data.get("text"))) is not None
    return is_complaint(event, plugin) and event.data["level"] == "warning" and said_by_plugin


def quoted(event: Event) -> str:
    """The words of an `envoy.log`, fit for a sentence."""
    text = str(event.data.get("text"))
    said = own_words(text)
    line = (said[1] if said is not None else text.removeprefix(_FAILURE)).strip().partition("\n")[0].strip()
    return line if len(line) <= _QUOTED_CHARACTERS else f"{line[: _QUOTED_CHARACTERS - 1]}…"


def with_complaints(error: str, said: Sequence[str]) -> str:
    """Envoy's error, and why: `Unable to create Wasm plugin x: it has to be a list; …`."""
    return ": ".join(filter(None, (error, "; ".join(_some(said)))))


def _some(said: Sequence[str]) -> Iterator[str]:
    yield from said[:QUOTED]
    if len(said) > QUOTED:
        yield f"and {len(said) - QUOTED} more, see envoy.log"
