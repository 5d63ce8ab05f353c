"""A line of Envoy's log about Wasm: whose words it is."""

from __future__ import annotations

import re

#: What the host puts before a plugin's own words: its name, root id and VM id, as far as there are any.
_SAID = re.compile(r"wasm log(?: (?P<name>[^\s:]+))?(?: [^:\n]*)?: ?(?P<text>.*)", re.DOTALL)


def own_words(text: str) -> tuple[str | None, str] | None:
    """Who is named before a plugin's own words, and these; None for what Envoy says itself.

    The name is the plugin's, `namespace.name`; where the words are not about a request, its root id, or None.
    """
    found = _SAID.match(text)
    return (found["name"], found["text"]) if found is not None else None
