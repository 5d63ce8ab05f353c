"""A run as one HTML file, a player of its trace: the report, which loads nothing, and the live page."""

from __future__ import annotations

from sim.report.html.page import page_data, render_live_page, render_page, write_page

__all__ = ["page_data", "render_live_page", "render_page", "write_page"]
