"""Jobs for the tests of backends: they must be importable where the work is done."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from mammoscope.errors import DatasetError


@dataclass(frozen=True)
class Squares:
    """Squares numbers and leaves a file for each worker that was opened, and another for each that was closed."""

    folder: Path

    @contextmanager
    def open(self) -> Iterator[Callable[[int], int]]:
        name = os.urandom(8).hex()
        (self.folder / f"{name}.opened").touch()
        yield square
        (self.folder / f"{name}.closed").touch()


@dataclass(frozen=True)
class DoesNotOpen:
    """A job whose models are missing."""

    @contextmanager
    def open(self) -> Iterator[Callable[[int], int]]:
        raise DatasetError("/models: no such folder")
        yield square


@dataclass(frozen=True)
class DiesAsItOpens:
    """A job whose library takes the process with it."""

    @contextmanager
    def open(self) -> Iterator[Callable[[int], int]]:
        os._exit(7)
        yield square


class UnpicklableError(Exception):
    """An error of a library that cannot be sent."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("both")


def square(number: int) -> int:
    return number * number


def slow_square(number: int) -> int:
    time.sleep(0.2)
    return number * number


def square_or_die(number: int) -> int:
    if number % 100 == 3:
        os._exit(9)
    return number * number


def die_once(marker: Path) -> str:
    """Dies at the first try, as where memory was short."""
    if marker.exists():
        return "done"
    marker.touch()
    os._exit(9)


def refuse(number: int) -> int:
    raise DatasetError(f"disk full at {number}")


def fail_oddly(number: int) -> int:
    raise UnpicklableError(1, 2)


def process_of(number: int) -> int:
    return os.getpid()


def say_here(connection: Connection[str, object]) -> None:
    """The main function of a process that says that it is there."""
    connection.send("here")
