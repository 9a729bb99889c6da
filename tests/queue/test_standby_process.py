"""Whatever becomes of a job and of the process that does it, the next job is done, and gets its own answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial

import pytest

from mammoscope.bundle import default_bundle_folder
from mammoscope.queue.background import BackgroundProcess, JobFailedError, Message
from mammoscope.queue.standby import NoProcessError, StandbyProcess
from mammoscope.readers import Limits


@pytest.fixture(scope="module")
def standby() -> Iterator[StandbyProcess]:
    start = partial(BackgroundProcess, "obedient_worker", default_bundle_folder(), Limits(), said="at the start")
    process = StandbyProcess(start)
    yield process
    process.stop()


def ask(standby: StandbyProcess, what: str, seconds: float = 60) -> Message:
    return standby.ready().ask("a job", {"do": what}, seconds)


def test_a_job_is_done_by_a_process_that_knows_what_it_was_told(standby: StandbyProcess) -> None:
    assert ask(standby, "anything") == {"done": "anything", "said": "at the start"}


def test_how_far_a_job_is_comes_before_its_answer(standby: StandbyProcess) -> None:
    shares: list[float] = []
    reply = standby.ready().ask("a job", {"do": "tell"}, 60, shares.append)
    assert shares == [0.25, 0.5] and reply["done"] == "tell"


@pytest.mark.parametrize(
    ("what", "seconds", "problem"),
    [("die", 60, "the analysis process ended on it"), ("sleep", 0.2, "or took too long")],
)
def test_a_job_that_ends_the_process_costs_only_itself(
    standby: StandbyProcess, what: str, seconds: float, problem: str
) -> None:
    with pytest.raises(JobFailedError, match=problem) as failed:
        ask(standby, what, seconds)
    assert not failed.value.final
    assert ask(standby, "next")["done"] == "next"


def test_a_file_that_is_refused_is_refused_for_good_and_without_its_path(standby: StandbyProcess) -> None:
    with pytest.raises(JobFailedError, match=r"^is no mammogram$") as failed:
        ask(standby, "refuse")
    assert failed.value.final


def test_a_fault_is_in_the_log_by_its_place_and_never_by_its_text(
    standby: StandbyProcess, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(JobFailedError, match="the analysis failed") as failed:
        ask(standby, "break")
    assert not failed.value.final
    assert "a job: ZeroDivisionError in obedient_worker.py, line" in caplog.text
    assert "Jane" not in caplog.text + str(failed.value)


def test_an_answer_that_was_not_heard_to_its_end_is_not_taken_for_the_next(standby: StandbyProcess) -> None:
    def full_disk(share: float) -> None:
        raise RuntimeError("database or disk is full")

    with pytest.raises(RuntimeError):
        standby.ready().ask("a job", {"do": "tell"}, 60, full_disk)
    assert ask(standby, "next")["done"] == "next"


def test_a_process_that_is_killed_is_replaced_and_one_that_is_stopped_is_not() -> None:
    standby = StandbyProcess(partial(BackgroundProcess, "obedient_worker", default_bundle_folder(), Limits(), said=""))
    first = standby.ready()
    standby.kill()
    assert not first.is_running
    assert ask(standby, "next")["done"] == "next"
    standby.stop()
    with pytest.raises(NoProcessError, match="was stopped"):
        standby.ready()


def test_a_bundle_that_cannot_be_loaded_is_named_by_the_place_of_the_error() -> None:
    standby = StandbyProcess(partial(BackgroundProcess, "obedient_worker", default_bundle_folder() / "no", Limits()))
    with pytest.raises(NoProcessError, match=r"the analysis process ended as it started \(BundleError in"):
        standby.ready()
    standby.stop()
