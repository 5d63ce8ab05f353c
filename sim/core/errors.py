"""What can go wrong between a manifest and its Istio form."""

from __future__ import annotations

from sim.errors import InvalidInput, Location


class ConversionError(InvalidInput):
    """Higress refuses to convert the object. `reason` is the text that Higress logs."""

    def __init__(self, reason: str, *, where: Location | None = None, hint: str | None = None) -> None:
        super().__init__(reason, where=where, hint=hint)
        self.reason = reason


class DecodeError(ConversionError):
    """The object is not a WasmPlugin to Higress' decoder; a cluster's schema check stops it earlier."""
