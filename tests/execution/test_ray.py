"""Ray on a cluster of two nodes: it keeps the contract of a backend, and an archive is whole whoever is killed."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

from archive.contents import assert_whole, rows
from archive.images import make_images
from execution.jobs import DiesAsItOpens, DoesNotOpen, Squares, die_once, fail_oddly, refuse, square, square_or_die
from execution.ray_cluster import TwoNodes, wait_for
from mammoscope.bundle import Bundle
from mammoscope.errors import DatasetError, MammoscopeError
from mammoscope.execution.backend import Crashed, backend_named
from mammoscope.execution.job import Apply
from mammoscope.execution.ray import Ray

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra 'ray'"),
    pytest.mark.skipif(sys.platform != "linux", reason="finds and kills workers by /proc"),
]


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[TwoNodes]:
    nodes = TwoNodes()
    try:
        yield nodes
    finally:
        nodes.end()


@pytest.fixture
def cluster(two_nodes: TwoNodes, monkeypatch: pytest.MonkeyPatch) -> TwoNodes:
    """It, as a user names it."""
    monkeypatch.setenv("RAY_ADDRESS", two_nodes.address)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return two_nodes


def test_it_keeps_the_contract_of_a_backend(cluster: TwoNodes, tmp_path: Path) -> None:
    assert backend_named("ray", 2) == Ray(2)
    results = list(Ray(2).run(Squares(tmp_path), range(12)))
    assert sorted(results) == [(item, item * item) for item in range(12)]
    opened = len(list(tmp_path.glob("*.opened")))
    assert 1 <= opened <= 2 and len(list(tmp_path.glob("*.closed"))) == opened
    assert list(Ray(2).run(Apply(square), [])) == []
    taken = itertools.count()
    with closing(Ray(2).run(Apply(square), iter(lambda: next(taken), -1))) as endless:
        assert len(list(itertools.islice(endless, 20))) == 20
    assert next(taken) <= 20 + 4
    wait_for(lambda: not cluster.workers())


@pytest.mark.parametrize(
    ("job", "items", "error", "said"),
    [
        (Apply(refuse), [1], DatasetError, "disk full at 1"),
        (DoesNotOpen(), range(50), DatasetError, "/models: no such folder"),
        (Apply(fail_oddly), [1], RuntimeError, r"UnpicklableError in jobs.py, line \d+"),
        pytest.param(
            DiesAsItOpens(),
            range(50),
            MammoscopeError,
            "a worker ended as it started, 5 times in a row",
            marks=pytest.mark.load,
        ),
    ],
)
def test_an_error_reaches_the_caller(
    cluster: TwoNodes, job: Apply[int, int], items: list[int], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        list(Ray(1).run(job, items))


def test_an_item_that_kills_its_worker_costs_only_itself(cluster: TwoNodes, tmp_path: Path) -> None:
    results = dict(Ray(2).run(Apply(square_or_die), range(5)))
    assert results == {item: Crashed("at each of 5 tries") if item == 3 else item * item for item in range(5)}
    assert list(Ray(2).run(Apply(die_once), [tmp_path / "marker"])) == [(tmp_path / "marker", "done")]


def test_more_workers_than_cores_do_no_harm(cluster: TwoNodes) -> None:
    assert sorted(Ray(6).run(Apply(square), range(9))) == [(item, item * item) for item in range(9)]


def test_without_its_cluster_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "nowhere")
    with pytest.raises(MammoscopeError, match="no Ray cluster answers at nowhere"):
        list(Ray(1).run(Apply(square), [1]))


def analyze(source: Path, archive: Path, bundle: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mammoscope", "analyze", source, "--out", archive, "--bundle", bundle]
    more = ["--backend", "ray", "--workers", "2", *options]
    return subprocess.Popen([*map(str, command), *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def parts(archive: Path) -> int:
    return len(list((archive / "images").rglob("part-*.parquet")))


def test_an_archive_is_whole_whoever_is_killed(cluster: TwoNodes, tmp_path: Path, bundle: Bundle) -> None:
    """Workers at random, and the one who asked for it too."""
    source, archive = make_images(tmp_path / "in", 40, side=800), tmp_path / "a.parquet"
    options = ("--part-images", "4")
    first = analyze(source, archive, bundle.folder, *options)
    wait_for(lambda: parts(archive) >= 2)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    done = len(rows(archive, "images"))
    assert 8 <= done < 40
    second, killed = analyze(source, archive, bundle.folder, *options), 0
    while second.poll() is None and killed < 2:
        written = parts(archive)
        wait_for(lambda written=written: parts(archive) > written or second.poll() is not None)  # type: ignore[misc]
        killed += cluster.kill_a_worker()
    said, complaint = second.communicate()
    assert second.returncode == 0, complaint
    assert killed >= 2 and said.startswith(f"{40 - done} analysed, {done} done earlier\n")
    assert_whole(archive, 40)
    assert not rows(archive, "errors")


@pytest.mark.load
@pytest.mark.timeout(3600)
def test_two_thousand_images_each_once(
    cluster: TwoNodes, tmp_path: Path, bundle: Bundle, record_property: Callable[[str, object], None]
) -> None:
    """Workers and whole nodes at random all the time, and the one who asked for it three times."""
    source, archive, start = make_images(tmp_path / "in", 2000), tmp_path / "a.parquet", time.monotonic()
    drivers = nodes = 0
    with cluster.killed_at_random(8.0) as killed:
        while True:
            run = analyze(source, archive, bundle.folder, "--part-images", "50")
            before = parts(archive)
            if drivers < 3:
                wait_for(lambda before=before: parts(archive) >= before + 8, 900)  # type: ignore[misc]
                cluster.lose_a_node()
                nodes += 1
                wait_for(lambda before=before: parts(archive) >= before + 10, 900)  # type: ignore[misc]
                run.kill()
                run.communicate()
                drivers += 1
                continue
            _, complaint = run.communicate(timeout=3000)
            assert run.returncode == 0, complaint
            break
    assert_whole(archive, 2000)
    assert not rows(archive, "errors")
    assert len(killed) >= 20 and drivers == nodes == 3
    record_property("killed", f"{len(killed)} workers, {nodes} nodes, {drivers} drivers")
    record_property("seconds", round(time.monotonic() - start))
