"""Lines on a terminal: cut or wrapped by us, never by accident, and never with markup from outside."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

_ASCII = str.maketrans(
    {
        "█": "#",
        "▓": "=",
        "▏": "|",
        "◆": "o",
        "✔": "+",
        "✓": "+",
        "✗": "x",
        "▸": ">",
        "→": ">",
        "·": "-",
        "–": "-",
        "…": "~",
        "×": "x",
    }
)


def joined(*pieces: str | tuple[str, str] | Text) -> Text:
    """Pieces, plain or as (text, style), as one line. Nothing in them is read as markup."""
    return Text.assemble(*pieces, no_wrap=True, overflow="ellipsis")


class Page:
    """Writes to `console`; where its encoding has no arrows, plain ASCII stands in for them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._ascii = console.options.ascii_only

    @property
    def width(self) -> int:
        return self._console.width

    def blank(self) -> None:
        self._console.print()

    def line(self, *pieces: str | tuple[str, str] | Text) -> None:
        """One line, cut at the terminal's edge if need be."""
        text = self.encodable(joined(*pieces))
        text.rstrip()
        text.truncate(self.width, overflow="crop" if self._ascii else "ellipsis")
        self._console.print(text, no_wrap=True, crop=True)

    def whole(self, *pieces: str | tuple[str, str] | Text) -> None:
        """One line that the terminal may break but we don't, so that what is in it can be copied."""
        self._console.print(self.encodable(joined(*pieces)), soft_wrap=True)

    def wrapped(self, head: Text, body: Text) -> None:
        """`head`, then `body` beside it, wrapped under its own beginning."""
        indent = head.cell_len
        body = self.encodable(body)
        body.no_wrap = False
        for number, part in enumerate(body.wrap(self._console, max(20, self.width - indent), overflow="fold")):
            self.line(head if number == 0 else " " * indent, part)

    def packed(self, head: Text, pieces: Sequence[str], separator: str = " · ") -> None:
        """`head`, then the pieces; a line is broken between two of them, never inside one that fits on a line."""
        room = self.width - head.cell_len
        lines: list[str] = []
        for piece in pieces:
            longer = f"{lines[-1]}{separator}{piece}" if lines else piece
            if lines and cell_len(longer) <= room:
                lines[-1] = longer
            else:
                lines.append(piece)
        for number, line in enumerate(lines):
            self.line(head if number == 0 else " " * head.cell_len, line)

    def encodable(self, text: Text) -> Text:
        """The same text, changed in place, in characters that the terminal's encoding has."""
        if self._ascii:
            # One character for one, so that the styles stay where they are.
            text.plain = text.plain.translate(_ASCII).encode("ascii", "replace").decode()
        return text
