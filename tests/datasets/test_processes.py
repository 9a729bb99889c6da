"""Work in several processes: every task answers, even one that kills its process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mammoscope.errors import DatasetError
from mammoscope.execution.processes import run_in_processes


def square(number: int) -> int:
    return number * number


def square_or_die(number: int) -> int:
    if number == 3:
        os._exit(9)
    return number * number


def refuse(number: int) -> int:
    raise DatasetError(f"disk full at {number}")


@pytest.mark.parametrize("tasks", [[], [4], list(range(9))])
def test_every_task_comes_back(tasks: list[int]) -> None:
    assert sorted(run_in_processes(square, tasks, 2)) == [(task, task * task) for task in tasks]


def test_task_that_kills_its_process_costs_only_itself() -> None:
    results = dict(run_in_processes(square_or_die, range(8), 2))
    assert results == {task: None if task == 3 else task * task for task in range(8)}


def test_error_reaches_the_caller() -> None:
    with pytest.raises(DatasetError, match="disk full at 1"):
        list(run_in_processes(refuse, [1], 1))


def test_caller_may_stop_early(tmp_path: Path) -> None:
    results = run_in_processes(square, range(1000), 1)
    task, result = next(results)
    assert result == task * task
    results.close()
