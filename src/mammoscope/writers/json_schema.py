"""The JSON Schemas that ship, made from the models that are written."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel


def published_schema(model: type[BaseModel], urn: str, title: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of what a model is written as, with the head of a published one."""
    schema = model.model_json_schema(mode="serialization")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": urn, "title": title}
    return head | {key: value for key, value in schema.items() if key not in head}


def as_committed(schema: dict[str, Any]) -> str:
    """A schema as its committed file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
