"""What a command line comes to, without running its command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from typer.main import get_command

from mammoscope.cli.app import app


def parsed(arguments: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The command that would run, as ``pacs.watch``, and the values of its parameters."""
    root: Any = get_command(app)
    found: list[tuple[str, dict[str, Any]]] = []

    def note(name: str) -> Any:
        return lambda **values: found.append((name, values))

    for name, command in _leaves(root, ""):
        command.callback = note(name)
    root.main(args=list(arguments), prog_name="mammoscope", standalone_mode=False)
    (outcome,) = found
    return outcome


def _leaves(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _leaves(command, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", command
