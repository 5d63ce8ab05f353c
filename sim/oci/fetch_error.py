"""Why a module could not be fetched."""

from __future__ import annotations

from typing import Literal

from sim.errors import SimError

#: The most that is ever downloaded, unpacked or taken as a module, unless told otherwise.
MAX_BYTES = 256 * 1024 * 1024

#: download: refused, missing or unreachable, after all tries · timeout: it took too long ·
#: checksum: the content is not what its digest says · invalid: it came, and is no image or no Wasm module.
FetchReason = Literal["download", "timeout", "checksum", "invalid"]


class FetchError(SimError):
    """A module could not be fetched. It says why; nothing is gained by asking again with the same specification.

    `status` is the HTTP status of the last answer, None where there was none.
    """

    def __init__(
        self, reason: FetchReason, message: str, *, status: int | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.reason: FetchReason = reason
        self.status = status


class NotWasmError(FetchError):
    """It came, whole and unspoilt, and is no Wasm module."""

    def __init__(self, message: str) -> None:
        super().__init__("invalid", message, hint="compile the plugin for wasm32, and push or serve the result")


class TooLargeError(FetchError):
    """More than the limit came, or would come out of an archive."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            "invalid",
            f"it holds more than {limit_bytes >> 20} MB",
            hint="a Wasm plugin is a few megabytes: push the module alone",
        )
