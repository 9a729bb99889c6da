"""Backends: any of them does every item, takes no more than it needs, and ends when it is told to."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from execution.jobs import (
    DiesAsItOpens,
    DoesNotOpen,
    Squares,
    die_once,
    fail_oddly,
    process_of,
    refuse,
    slow_square,
    square,
    square_or_die,
)
from mammoscope.errors import DatasetError, MammoscopeError
from mammoscope.execution.backend import Backend, Crashed, backend_named, in_order
from mammoscope.execution.job import Apply
from mammoscope.execution.processes import Processes
from mammoscope.execution.threads import Threads

BUILT_IN = [Threads, Processes]


@pytest.fixture(params=BUILT_IN, ids=["threads", "processes"])
def kind(request: pytest.FixtureRequest) -> type[Threads | Processes]:
    kind: type[Threads | Processes] = request.param
    return kind


@pytest.mark.parametrize("items", [[], [4], list(range(9))])
@pytest.mark.parametrize("workers", [1, 3])
def test_every_item_comes_back_once(kind: type[Threads | Processes], items: list[int], workers: int) -> None:
    results = list(kind(workers).run(Apply(square), items))
    assert sorted(results) == [(item, item * item) for item in items]


def test_a_job_is_opened_once_a_worker_and_closed_again(kind: type[Threads | Processes], tmp_path: Path) -> None:
    job = Squares(tmp_path)
    assert pickle.loads(pickle.dumps(job)) == job
    assert len(list(kind(2).run(job, range(12)))) == 12
    assert 1 <= len(list(tmp_path.glob("*.opened"))) <= 2
    assert len(list(tmp_path.glob("*.closed"))) == len(list(tmp_path.glob("*.opened")))


def test_no_more_workers_are_opened_than_there_are_items(kind: type[Threads | Processes], tmp_path: Path) -> None:
    list(kind(5).run(Squares(tmp_path), [1]))
    assert len(list(tmp_path.glob("*.opened"))) == 1


def test_a_stream_without_end_does_not_run_away(kind: type[Threads | Processes]) -> None:
    taken = itertools.count()

    def items() -> Iterator[int]:
        while True:
            yield next(taken)

    with closing(kind(2).run(Apply(square), items())) as results:
        assert len(list(itertools.islice(results, 20))) == 20
        time.sleep(0.2)  # nobody asks for more
    assert next(taken) <= 20 + 4


def test_nothing_is_done_before_somebody_asks(kind: type[Threads | Processes], tmp_path: Path) -> None:
    results = kind(2).run(Squares(tmp_path), [1, 2])
    time.sleep(0.1)
    assert not list(tmp_path.iterdir())
    results.close()


def test_who_stops_early_leaves_no_worker_behind(kind: type[Threads | Processes]) -> None:
    threads = threading.active_count()
    results = kind(2).run(Apply(slow_square), itertools.count())
    next(results)
    results.close()
    assert threading.active_count() == threads
    assert not multiprocessing.active_children()


def test_an_error_of_the_job_reaches_the_caller(kind: type[Threads | Processes]) -> None:
    with pytest.raises(DatasetError, match="disk full at 1"):
        list(kind(2).run(Apply(refuse), [1]))
    assert not multiprocessing.active_children()


def test_an_error_of_the_items_reaches_the_caller(kind: type[Threads | Processes]) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise DatasetError("row 2 is broken")

    with pytest.raises(DatasetError, match="row 2 is broken"):
        list(kind(1).run(Apply(square), items()))


def test_a_job_that_cannot_be_opened_says_why(kind: type[Threads | Processes]) -> None:
    with pytest.raises(DatasetError, match="/models: no such folder"):
        list(kind(2).run(DoesNotOpen(), range(50)))


def test_results_come_in_the_order_of_the_items_where_that_is_wanted(kind: type[Threads | Processes]) -> None:
    told: list[tuple[int, int]] = []
    results = in_order(kind(3), Apply(square), range(10), progress=lambda done, total: told.append((done, total)))
    assert results == [number * number for number in range(10)]
    assert told == [(done, 10) for done in range(1, 11)]


def test_an_item_that_kills_its_process_costs_only_itself() -> None:
    results = dict(Processes(2).run(Apply(square_or_die), range(8)))
    assert results == {item: Crashed("exit code 9") if item == 3 else item * item for item in range(8)}


def test_a_process_that_died_for_want_of_memory_is_tried_again(tmp_path: Path) -> None:
    assert list(Processes(2).run(Apply(die_once), [tmp_path / "marker"])) == [(tmp_path / "marker", "done")]


def test_a_job_that_kills_each_process_as_it_opens_ends_the_run() -> None:
    with pytest.raises(MammoscopeError, match=r"ended as it started \(exit code 7\)"):
        list(Processes(2).run(DiesAsItOpens(), range(50)))


def test_an_error_that_cannot_be_sent_still_says_what_it_was() -> None:
    with pytest.raises(RuntimeError, match=r"UnpicklableError in jobs.py, line \d+"):
        list(Processes(1).run(Apply(fail_oddly), [1]))


def test_a_result_in_order_names_the_item_that_crashed() -> None:
    with pytest.raises(MammoscopeError, match=r"^3: the process that worked on it ended \(exit code 9\)"):
        in_order(Processes(1), Apply(square_or_die), [1, 3])


def test_processes_work_in_several_processes_and_threads_in_this_one() -> None:
    elsewhere = {pid for _, pid in Processes(2).run(Apply(process_of), range(6))}
    assert elsewhere and os.getpid() not in elsewhere
    assert {pid for _, pid in Threads(2).run(Apply(process_of), range(6))} == {os.getpid()}


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_a_process_that_starts_as_ctrl_c_is_pressed_does_not_mind(tmp_path: Path) -> None:
    script = tmp_path / "interrupted.py"
    script.write_text(
        "import os, signal, time\n"
        "from execution.jobs import say_here\n"
        "from mammoscope.processes.spawned import Spawned\n"
        "if __name__ == '__main__':\n"
        "    process = Spawned(say_here)\n"
        "    try:\n"
        "        os.killpg(0, signal.SIGINT)\n"
        "        time.sleep(10)\n"
        "    except KeyboardInterrupt:\n"
        "        print(process.connection.recv())\n"
        "    process.end()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, start_new_session=True, check=False
    )
    assert (ran.stdout, ran.stderr) == ("here\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("name", ["threads", "processes"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_one_who_asked(tmp_path: Path, name: str, number: signal.Signals) -> None:
    """By Ctrl-C, which reaches the whole group, or killed outright."""
    script = tmp_path / "endless.py"
    script.write_text(
        "import itertools, os\n"
        "from execution.jobs import process_of, slow_square\n"
        "from mammoscope.execution.backend import backend_named\n"
        "from mammoscope.execution.job import Apply\n"
        "def work(number):\n"
        "    slow_square(number)\n"
        "    return process_of(number)\n"
        "if __name__ == '__main__':\n"
        f"    for _, pid in backend_named({name!r}, 2).run(Apply(work), itertools.count()):\n"
        "        print(pid, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    if number == signal.SIGINT:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.kill()
    _, complaint = process.communicate(timeout=60)
    assert process.returncode != 0
    assert complaint.count("Traceback") == (number == signal.SIGINT)  # the caller's own, none of a worker
    deadline = time.monotonic() + 20
    while _lives(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(worker)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False


def test_a_backend_of_another_package_is_found_by_its_name() -> None:
    backend: Backend = backend_named("one-after-another", 2)
    assert list(backend.run(Apply(square), [1, 2, 3])) == [(1, 1), (2, 4), (3, 9)]
    with pytest.raises(MammoscopeError, match=r"^backend 'dask' is not known; known are: one-after-another, processes"):
        backend_named("dask", 2)


def test_built_in_backends_have_names() -> None:
    assert backend_named("threads", 3) == Threads(3)
    assert backend_named("processes", 3) == Processes(3)
    with pytest.raises(ValueError, match="workers is 0"):
        backend_named("threads", 0)
