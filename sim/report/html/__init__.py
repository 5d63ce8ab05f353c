"""A run as one HTML file: a player of its trace, which opens from disk and loads nothing."""

from __future__ import annotations

from sim.report.html.page import render_page, write_page

__all__ = ["render_page", "write_page"]
