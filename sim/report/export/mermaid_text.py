"""Text from elsewhere inside a Mermaid diagram: characters that could mean something there become entity codes."""

from __future__ import annotations

from sim.report.phrases import clean

#: Longer texts are cut: a diagram is looked at, and GitHub renders no more than 50,000 characters of one.
LONGEST = 120
_HARMLESS = frozenset(" .,/_-()=+!?'@·→…✗")


def mermaid_text(text: str, longest: int = LONGEST) -> str:
    """One line that Mermaid shows as it is.

    Its entity codes are `#35;`, a number in decimal. A `:` counts as dangerous, because Mermaid takes a line with
    `style…:…` for one of its own before it reads any of them.
    """
    line = " ".join(clean(text).split())
    if len(line) > longest:
        line = line[: longest - 1].rstrip() + "…"
    return "".join(character if _plain(character) else f"#{ord(character)};" for character in line)


def _plain(character: str) -> bool:
    return character in _HARMLESS or character.isalnum()
