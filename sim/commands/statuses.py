"""The exit statuses of the design, for every command."""

from __future__ import annotations

PASSED, FAILED, USAGE, ENVIRONMENT, INTERRUPTED = 0, 1, 2, 3, 130
