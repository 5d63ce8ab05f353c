"""One combination of a scenario's matrix, as its result has it."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from sim.oci import ImageFormat
from sim.scenario.strict import Strict

Axis = Literal["profile", "format", "workers", "envoy", "xds"]
AXES: tuple[Axis, ...] = ("profile", "format", "workers", "envoy", "xds")

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9.]+")


class Combination(Strict):
    """One combination of a matrix. An axis that the matrix lacks is null."""

    profile: str | None = Field(default=None, description="The profile")
    format: ImageFormat | None = Field(default=None, description="How images are packed that name no format")
    workers: int | None = Field(default=None, description="The workers of every gateway")
    envoy: str | None = Field(default=None, description="The Envoy, as the scenario names it")
    xds: Literal["sotw", "delta"] | None = Field(default=None, description="The xDS variant")

    @property
    def name(self) -> str:
        """`istio-1.27-oci-workers-4-envoy-1.36.4-delta`: its values, fit for a file's name."""
        values = {axis: getattr(self, axis) for axis in AXES}
        words = [
            f"{axis}-{value}" if axis in ("workers", "envoy") else str(value)
            for axis, value in values.items()
            if value is not None
        ]
        return "-".join(_NOT_IN_A_NAME.sub("-", word).strip("-.") for word in words)
