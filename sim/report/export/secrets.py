"""What an export must not tell: it leaves the machine, as the report does."""

from __future__ import annotations

from sim.report.html.redaction import Redaction
from sim.report.html.run_files import RunFiles


def redaction_of(run: RunFiles) -> Redaction:
    """Knows every secret of the run: those of its scenario, and those in what crossed a hop."""
    redaction = Redaction()
    redaction.scenario(run.scenario)
    for ref in {ref for event in run.events for ref in event.data.get("payloads", {}).values()}:
        try:
            redaction.learn(run.read(ref))
        except (OSError, ValueError):
            # A payload that was lost has no secret that could be told.
            continue
    return redaction
