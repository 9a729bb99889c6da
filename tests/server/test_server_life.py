"""Servers that end, are killed, and start again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydicom import dcmread
from server_process import SERVE, Server

from mammoscope.bundle import Bundle

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to find the processes of a server")


def below(process: int) -> list[int]:
    """Ids of all processes that a process started, at any depth."""
    children = [
        int(child)
        for task in Path(f"/proc/{process}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return children + [deeper for child in children for deeper in below(child)]


def analysing(server: Server) -> list[int]:
    """Ids of the process that analyses, first, and of its decoder: the server gives them a group of their own."""
    groups = {number: os.getpgid(number) for number in below(server.process.pid)}
    return sorted(
        (number for number, group in groups.items() if group != os.getpgid(server.process.pid)),
        key=lambda number: number != groups[number],
    )


def are_gone(processes: list[int], seconds: float = 10) -> bool:
    """Whether these processes end in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        alive = [number for number in processes if Path(f"/proc/{number}").exists() and not is_zombie(number)]
        if not alive:
            return True
        time.sleep(0.05)
    return False


def is_zombie(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_what_was_done_is_found_and_what_was_half_done_is_done_again(
    exam: Path, quick_bundle: Bundle, tmp_path: Path
) -> None:
    options = ("--bundle", str(quick_bundle.folder), "--data", str(tmp_path / "data"))
    film = (exam / "phantom-L-CC.dcm").read_bytes()
    with Server(tmp_path, *options) as server:
        first = server.upload([("first.dcm", film)])
        server.wait(first)
        result = server.client.get(f"/analyses/{first}/result").json()
        second = server.upload([("second.dcm", film), ("third.dcm", film)])
        server.wait_for_file(second, 0, "reading", "analysing")
        server.end(signal.SIGKILL)
    (tmp_path / "data" / "files" / ("0" * 32)).mkdir()  # an upload that was cut off
    with Server(tmp_path, *options) as server:
        assert server.client.get(f"/analyses/{first}/result").json() == result
        assert [file["name"] for file in server.status(second)["files"]] == ["second.dcm", "third.dcm"]
        assert server.wait(second)["state"] == "done"
        again = server.client.get(f"/analyses/{second}/result").json()
        assert [one["findings"] for one in again] == [result[0]["findings"]] * 2
        assert not (tmp_path / "data" / "files" / ("0" * 32)).exists()
    assert not any(server.temporary.iterdir())


@LINUX
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_an_ephemeral_server_leaves_nothing(
    exam: Path, quick_bundle: Bundle, tmp_path: Path, how: signal.Signals
) -> None:
    with Server(tmp_path, "--bundle", str(quick_bundle.folder)) as server:
        analysis = server.upload([("a.dcm", (exam / "phantom-L-CC.dcm").read_bytes())])
        server.wait_for_file(analysis, 0, "analysing", "done")
        processes = below(server.process.pid)
        # The one that analyses, its decoder, and the decoder that tells of which exam an upload is.
        assert len(processes) == 3 and any(server.temporary.iterdir())
        server.end(how)
        assert server.process.returncode == (0 if how != signal.SIGKILL else -signal.SIGKILL)
        assert are_gone(processes)
        assert not any(server.temporary.iterdir())


@LINUX
def test_deleting_what_runs_stops_it(server: Server, exam: Path) -> None:
    film = (exam / "phantom-L-CC.dcm").read_bytes()
    running, waiting = server.upload([("a.dcm", film)]), server.upload([("b.dcm", film)])
    server.wait_for_file(running, 0, "analysing")  # once it was read, the worker may be at the other file
    processes = analysing(server)
    assert len(processes) == 2
    assert server.client.delete(f"/analyses/{running}").status_code == 204
    assert are_gone(processes)
    assert server.client.get(f"/analyses/{running}").status_code == 404
    assert not list(server.temporary.rglob(running))
    assert server.wait(waiting)["state"] == "done"


@LINUX
def test_a_worker_that_dies_costs_one_file(server: Server, exam: Path, tmp_path: Path) -> None:
    analyses = []
    for study in ("2.25.1", "2.25.2"):  # each an exam of its own
        film = dcmread(exam / "phantom-L-CC.dcm")
        film.StudyInstanceUID = study
        film.save_as(tmp_path / study)
        analyses.append(server.upload([("film.dcm", (tmp_path / study).read_bytes())]))
    one, other = analyses
    server.wait_for_file(one, 0, "analysing")
    os.kill(analysing(server)[0], signal.SIGKILL)
    (failed,), (done,) = (server.wait(analysis)["files"] for analysis in (one, other))
    assert (failed["state"], done["state"]) == ("failed", "done")
    assert "analysis process" in failed["error"]


def test_the_example_is_drawn_before_it_is_asked_for(server: Server) -> None:
    assert server.client.get(str(server.client.base_url.copy_with(path="/"))).status_code == 200
    end = time.monotonic() + 60
    while len(list(server.temporary.glob("*/example/phantom-*.dcm"))) < 4:
        assert time.monotonic() < end
        time.sleep(0.05)
    answer = server.client.post("/analyses/example")
    assert answer.status_code == 202
    analysis = answer.json()["id"]
    server.wait_for_file(analysis, 0, "analysing", "done")
    views = [file["view"] for file in server.status(analysis)["files"]]
    assert [(view["laterality"], view["view"]) for view in views] == [
        ("RIGHT", "CC"),
        ("LEFT", "CC"),
        ("RIGHT", "MLO"),
        ("LEFT", "MLO"),
    ]
    assert {(view["rows"], view["columns"]) for view in views} == {(3328, 2560)}
    assert server.client.delete(f"/analyses/{analysis}").status_code == 204


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--host", "0.0.0.0"), "set a token"),
        (("--bundle", "/nowhere"), "cannot be read"),
        (("--data", __file__), "cannot hold the server's data"),
    ],
)
def test_what_cannot_be_served_is_one_line(options: tuple[str, ...], problem: str) -> None:
    ended = subprocess.run([*SERVE, *options], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2 and problem in ended.stderr and ended.stderr.count("\n") == 1
