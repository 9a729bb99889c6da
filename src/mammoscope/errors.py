"""Errors, each a single line that says what a user can do."""

from __future__ import annotations

import traceback
from pathlib import Path


class MammoscopeError(Exception):
    """An error in what the user gave (a file, a setting), not in the code: shown as one line, without a traceback."""


class InputError(MammoscopeError):
    """An input file that cannot be analysed.

    Parameters
    ----------
    path
        The file, as the user named it.
    problem
        What is wrong with it, with name and value: ``"Modality (0008,0060) is 'CT', expected 'MG'"``.
    """

    def __init__(self, path: Path | str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = Path(path)
        self.problem = problem

    def __reduce__(self) -> tuple[type[InputError], tuple[Path, str]]:
        return type(self), (self.path, self.problem)


class DatasetError(MammoscopeError):
    """A dataset folder, table or split that cannot be used; names the file, row and column."""


class BundleError(MammoscopeError):
    """A model bundle that is incomplete, altered or of another version."""


class RecipeError(MammoscopeError):
    """A training recipe with a missing, unknown or impossible setting."""


def place_of(error: BaseException) -> str:
    """Class and place of an exception for a log, without its text, which may quote a patient's data."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}"
