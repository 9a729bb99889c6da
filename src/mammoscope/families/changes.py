"""Change single settings of a table, such as a recipe's: on the command line, or in a study."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from mammoscope.errors import RecipeError

_KEY = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def parsed(texts: Iterable[str]) -> dict[str, Any]:
    """Settings with dotted keys from texts such as ``loop.epochs=3``; a value that is not TOML's is a string.

    Raises
    ------
    RecipeError
        A text is not of that form; quotes it.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not _KEY.fullmatch(key):
            raise RecipeError(f"{text!r}: expected SETTING=VALUE, such as loop.epochs=3")
        try:
            found[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[key] = value
    return found


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with dotted keys as tables of tables."""
    tables: dict[str, Any] = {}
    for key, value in settings.items():
        first, _, rest = key.partition(".")
        part = nested({rest: value}) if rest else nested(value) if isinstance(value, dict) else value
        held = tables.get(first)
        tables[first] = changed(held, part) if isinstance(held, dict) and isinstance(part, dict) else part
    return tables


def changed(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A table with other values, those of inner tables one by one."""
    result = dict(table)
    for key, value in changes.items():
        held = result.get(key)
        result[key] = changed(held, value) if isinstance(held, dict) and isinstance(value, dict) else value
    return result
