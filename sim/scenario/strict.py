"""What every piece of a scenario file is made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Unknown keys are refused and nothing is converted: `tag: 1.0` is a number, not a tag."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)
