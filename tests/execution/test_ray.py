"""Ray on a cluster of two nodes: it keeps the contract of a backend, and an archive is whole whoever is killed."""

from __future__ import annotations

import itertools
import logging
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
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

logger = logging.getLogger(__name__)
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
        pytest.param(DoesNotOpen(), range(50), DatasetError, "/models: no such folder", marks=pytest.mark.load),
        pytest.param(
            Apply(fail_oddly), [1], RuntimeError, r"UnpicklableError in jobs.py, line", marks=pytest.mark.load
        ),
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


@pytest.mark.load
def test_an_item_that_kills_each_worker_costs_only_itself(cluster: TwoNodes) -> None:
    results = dict(Ray(2).run(Apply(square_or_die), range(5)))
    assert results == {item: Crashed("at each of 5 tries") if item == 3 else item * item for item in range(5)}


def test_an_item_whose_worker_died_is_tried_again(cluster: TwoNodes, tmp_path: Path) -> None:
    assert list(Ray(2).run(Apply(die_once), [tmp_path / "marker"])) == [(tmp_path / "marker", "done")]


@pytest.mark.load
def test_more_workers_than_cores_do_no_harm(cluster: TwoNodes) -> None:
    assert sorted(Ray(6).run(Apply(square), range(9))) == [(item, item * item) for item in range(9)]


def test_without_its_cluster_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "nowhere")
    with pytest.raises(MammoscopeError, match="no Ray cluster answers at nowhere"):
        list(Ray(1).run(Apply(square), [1]))


class Runs:
    """Runs of a command that analyses a folder into an archive on a cluster, one after another."""

    def __init__(self, cluster: TwoNodes, source: Path, archive: Path, bundle: Bundle, part_images: int) -> None:
        options = ["--backend", "ray", "--workers", "2", "--part-images", part_images, "--bundle", bundle.folder]
        command = [sys.executable, "-m", "mammoscope", "analyze", source, "--out", archive, *options]
        self._command = [str(word) for word in command]
        self._cluster, self._archive = cluster, archive
        self.killed: Counter[str] = Counter()
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def parts(self) -> int:
        return len(list((self._archive / "images").rglob("part-*.parquet")))

    def wait_for_parts(self, more: int) -> bool:
        """Wait until there are so many more parts; False if the run has ended before."""
        wanted = self.parts() + more
        wait_for(lambda: self.parts() >= wanted or self.process.poll() is not None, 900)
        return self.process.poll() is None

    def kill(self, what: str) -> None:
        """Kill a worker, a node with its workers, or the command, which is started again."""
        if what == "driver":
            self.process.kill()
            self.process.communicate()
            self.start()
        elif what == "node":
            self._cluster.lose_a_node()
        elif not self._cluster.kill_a_worker():
            return
        self.killed[what] += 1

    def said(self) -> str:
        """What the last run printed as it ended well."""
        said, complaint = self.process.communicate(timeout=900)
        assert self.process.returncode == 0, complaint
        return said


def test_an_archive_is_whole_whoever_is_killed(cluster: TwoNodes, tmp_path: Path, bundle: Bundle) -> None:
    archive = tmp_path / "a.parquet"
    runs = Runs(cluster, make_images(tmp_path / "in", 24, side=800), archive, bundle, part_images=4)
    for what in ("driver", "worker"):
        assert runs.wait_for_parts(1)
        runs.kill(what)
    said = re.match(r"(\d+) analysed, (\d+) done earlier\n", runs.said())
    assert said and int(said[1]) + int(said[2]) == 24 and int(said[2]) >= 4
    assert runs.killed == {"worker": 1, "driver": 1}
    assert_whole(archive, 24)
    assert not rows(archive, "errors")


@pytest.mark.load
@pytest.mark.timeout(3600)
def test_two_thousand_images_each_once(cluster: TwoNodes, tmp_path: Path, bundle: Bundle) -> None:
    """After every 20 to 80 images a worker, a node or the command is killed."""
    archive, chance = tmp_path / "a.parquet", random.Random(0)
    runs = Runs(cluster, make_images(tmp_path / "in", 2000), archive, bundle, part_images=20)
    while runs.wait_for_parts(chance.randint(1, 4)):
        runs.kill(chance.choices(["worker", "node", "driver"], [8, 1, 1])[0])
    runs.said()
    logger.info("killed: %s", dict(runs.killed))
    assert runs.killed["worker"] >= 20 and runs.killed["node"] >= 1 and runs.killed["driver"] >= 1
    assert_whole(archive, 2000)
    assert not rows(archive, "errors")
