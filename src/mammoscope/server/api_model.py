"""What all models of the API share."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class ApiModel(BaseModel):
    """Cannot be changed, and refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def with_example(**values: Any) -> ConfigDict:
    """The configuration of an ``ApiModel`` of which the API's description shows an example."""
    return ConfigDict(frozen=True, extra="forbid", json_schema_extra={"example": values})
