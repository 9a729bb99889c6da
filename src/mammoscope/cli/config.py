"""``--config FILE.toml``: the settings of services and of ``analyze`` in one file, below the command line."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import typer

from mammoscope.cli import analyze, pacs, pacs_probe, pacs_receive, pacs_watch, serve
from mammoscope.errors import MammoscopeError

# The commands that have a table, by its name.
COMMANDS: Mapping[str, Callable[..., None]] = {
    "serve": serve.serve,
    "analyze": analyze.analyze,
    "pacs.watch": pacs_watch.watch,
    "pacs.receive": pacs_receive.receive,
    "pacs.push": pacs.push,
    "pacs.pull": pacs.pull,
    "pacs.status": pacs.status,
    "pacs.probe": pacs_probe.probe,
}
_SECRETS = {
    "serve": {"token": "MAMMOSCOPE_TOKEN"},
    "pacs": {name: f"MAMMOSCOPE_PACS_{name.upper()}" for name in ("user", "password", "token")},
}
_PLACES = {("analyze", "out")}  # paths, or URLs of object stores
_EXPECTED: Mapping[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "a text in quotes"),
    Path: ((str,), "a path in quotes"),
    datetime: ((date, str), "a date such as 2026-01-31"),
}


def use_config(context: typer.Context, path: Path) -> None:
    """Take the defaults of all options from a file; the command line and the environment go before them.

    Parameters
    ----------
    context
        That of the program, before its command is parsed.
    path
        A TOML file with a table for each command, whose keys are the names of its options. Paths in it start at its own
        folder.

    Raises
    ------
    MammoscopeError
        The file cannot be read, or holds what is no setting; names table and key.
    """
    defaults: dict[str, Any] = {}
    for name, table in _tables(path).items():
        inner: Any = defaults
        command: Any = context.command
        for word in name.split("."):
            inner, command = inner.setdefault(word, {}), command.commands[word]
        inner.update(_Table(path, name, command, context).read(table))
    context.default_map = defaults


def _tables(path: Path) -> dict[str, dict[str, Any]]:
    """What the file has for each command."""
    try:
        whole = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MammoscopeError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MammoscopeError(f"{path}: is not TOML ({error})") from None
    groups = {name.partition(".")[0] for name in COMMANDS if "." in name}
    named = {
        f"{name}.{inner}" if inner else name: table
        for name, content in whole.items()
        for inner, table in (content.items() if name in groups and isinstance(content, dict) else (("", content),))
    }
    for name, table in named.items():
        if name not in COMMANDS or not isinstance(table, dict):
            there = ", ".join(f"[{known}]" for known in COMMANDS)
            what = f"[{name}]" if isinstance(table, dict) else f"{name!r}"
            raise MammoscopeError(f"{path}: {what} is no table of settings; there are {there}")
    return named


class _Table:
    """The table of one command."""

    def __init__(self, path: Path, name: str, command: Any, context: typer.Context) -> None:
        self._path, self._name, self._context = path, name, context
        self._types = get_type_hints(COMMANDS[name])
        arguments = [one for one in command.params if one.param_type_name == "argument"]
        # What is worked on is no setting: several arguments, or a list of files.
        left_out = arguments if len(arguments) > 1 else [one for one in arguments if one.nargs != 1]
        self._parameters = {_key(one): one for one in command.params if one not in left_out and one.name in self._types}
        self._secrets = _SECRETS[name.partition(".")[0]] if name != "analyze" else {}

    def read(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """The default of each parameter that the table names."""
        return {self._parameter(key).name: self._value(key, value) for key, value in table.items()}

    def _parameter(self, key: str) -> Any:
        if (variable := self._secrets.get(key)) is not None:
            raise self._error(key, f"is a secret, which is kept out of this file: set {variable} in the environment")
        if key not in self._parameters:
            there = ", ".join(sorted(self._parameters.keys() - self._secrets.keys()))
            raise self._error(key, f"is no setting; there are {there}")
        return self._parameters[key]

    def _value(self, key: str, value: Any) -> Any:
        parameter = self._parameters[key]
        (hint,) = [one for one in get_args(self._types[parameter.name]) if one is not NoneType] or [
            self._types[parameter.name]
        ]
        if parameter.multiple:
            (inner,) = get_args(hint)
            if not isinstance(value, list):
                raise self._error(key, f"is {value!r}, expected a list of {_EXPECTED[inner][1]}")
            given: Any = [self._one(key, item, inner) for item in value]
        else:
            given = self._one(key, value, hint)
        try:
            parameter.process_value(self._context, given)  # its range
        except typer.BadParameter as error:
            raise self._error(key, f"is {value!r}: {error.message}") from None
        return given

    def _one(self, key: str, value: Any, kind: type) -> Any:
        accepted, expected = _EXPECTED[kind]
        is_right = isinstance(value, accepted) and (kind is bool) is isinstance(value, bool)
        if not is_right or value == "" or (isinstance(value, float) and not math.isfinite(value)):
            raise self._error(key, f"is {value!r}, expected {expected}")
        if kind is Path or ((self._name, key) in _PLACES and "://" not in value):
            return str(self._path.parent / value)
        return value.isoformat() if isinstance(value, date) else value

    def _error(self, key: str, problem: str) -> MammoscopeError:
        return MammoscopeError(f"{self._path}: [{self._name}] {key} {problem}")


def _key(parameter: Any) -> str:
    """The name of a setting: that of the option, without its dashes."""
    if parameter.param_type_name == "argument":
        return str(parameter.name)
    return next(str(name) for name in parameter.opts if name.startswith("--")).removeprefix("--")
