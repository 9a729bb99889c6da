"""Writing an archive: whatever is killed at whatever moment, each image has one row and none is lost."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from pathlib import Path

import pytest

from archive.contents import assert_whole, rows
from mammoscope.archive.parts import Partition
from mammoscope.archive.rows import digest
from mammoscope.archive.sources.file import SourceFile
from mammoscope.archive.store import LocalStore, RemoteStore
from mammoscope.archive.writer import ArchiveWriter, Outcome
from mammoscope.bundle import Bundle
from mammoscope.errors import MammoscopeError
from mammoscope.findings import Analysis
from mammoscope.pipeline import analyze
from mammoscope.readers import read_mammogram

PARTITION = Partition("0123456789ab", "0.3")


@pytest.fixture(scope="module")
def analysis(exam: Path, bundle: Bundle) -> Analysis:
    """One with findings."""
    return analyze(read_mammogram(exam / "phantom-L-CC.dcm"), bundle, threshold=0.0)


def outcomes_of(analysis: Analysis, exams: int = 6) -> list[list[Outcome]]:
    """Exams of three images, of which the third failed; the last of all has the bytes of the first of all."""
    made = []
    for exam in range(exams):
        inputs = [analysis.input.model_copy(update={"sha256": f"{exam * 2 + one:064x}"}) for one in range(2)]
        if exam == exams - 1:
            inputs[1] = inputs[1].model_copy(update={"sha256": f"{0:064x}"})
        files = [SourceFile(f"/in/{exam}/{one}.dcm", digest(f"{exam} {one}")) for one in range(3)]
        done = [
            Outcome(file, 0, analysis.model_copy(update={"input": facts}))
            for file, facts in zip(files, inputs, strict=False)
        ]
        made.append([*done, Outcome(files[2], 0, None, "refused", "is no mammogram")])
    return made


def write(root: Path, exams: list[list[Outcome]], **options: bool) -> int:
    """A run: what is known is passed over; how many files were not."""
    with ArchiveWriter(LocalStore(root), PARTITION, images_a_part=3, **options) as writer:  # type: ignore[arg-type]
        new = [[one for one in exam if writer.take(one.file)] for exam in exams]
        for exam in filter(None, new):
            writer.add(exam)
    return sum(map(len, new))


def test_rows_of_an_archive(tmp_path: Path, analysis: Analysis) -> None:
    exams = outcomes_of(analysis)
    assert write(tmp_path / "a", exams) == 18
    assert_whole(tmp_path / "a", 11)
    images, errors = rows(tmp_path / "a", "images"), rows(tmp_path / "a", "errors")
    assert sorted(row["kind"] for row in errors) == ["duplicate"] + 6 * ["refused"]
    assert [row["image"] for row in errors if row["kind"] == "duplicate"] == [f"{0:064x}"]
    assert {row["source"] for row in images + errors} == {None}
    assert all(row["findings"] == len(analysis.findings) > 0 for row in images)
    findings = [row for row in rows(tmp_path / "a", "findings") if row["image"] == f"{4:064x}"]
    assert [row["number"] for row in findings] == list(range(1, len(analysis.findings) + 1))
    for row, finding in zip(findings, analysis.findings, strict=True):
        assert (row["x0"], row["y0"], row["x1"], row["y1"]) == tuple(finding.box.model_dump().values())
        assert row["detection_score"] == pytest.approx(finding.detection_score)
        points = zip(row["outline_x"], row["outline_y"], strict=True)
        assert [pytest.approx(point, abs=0.001) for point in points] == list(finding.outline)
    first = next(row for row in rows(tmp_path / "a", "exams") if f"{0:064x}" in row["images"])
    assert (first["views"], first["not_analysed"], len(first["images"])) == (["L CC", "L CC"], 1, 2)


def test_what_is_done_is_passed_over(tmp_path: Path, analysis: Analysis) -> None:
    exams = outcomes_of(analysis)
    write(tmp_path / "a", exams[:4])
    assert write(tmp_path / "a", exams) == 6
    assert write(tmp_path / "a", exams) == 0
    assert_whole(tmp_path / "a", 11)


def _die_at(event: int, root: Path, exams: list[list[Outcome]]) -> None:
    """Write, and be killed as the disk is asked for the n-th time to keep or rename something."""
    seen = 0

    def count(name: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        is_writing = name == "os.rename" or (name == "open" and int(str(arguments[2])) & (os.O_WRONLY | os.O_RDWR))
        if is_writing and str(root) in str(arguments[0]):
            seen += 1
            if seen == event:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    write(root, exams)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_a_kill_at_any_moment_loses_nothing_and_doubles_nothing(tmp_path: Path, analysis: Analysis) -> None:
    exams = outcomes_of(analysis, 2)
    context = multiprocessing.get_context("fork")
    unfinished = 0
    for event in range(1, 1000):
        root = tmp_path / f"{event}"
        process = context.Process(target=_die_at, args=(event, root, exams))
        process.start()
        process.join()
        written = {path.name for path in root.rglob("part-*.parquet")}
        committed = {path.name for path in (root / "images").rglob("part-*.parquet")}
        unfinished += written != committed
        new = write(root, exams)
        assert_whole(root, 3)
        assert not list(root.rglob(".part-*"))
        assert new == 6 - 3 * len(committed)
        if process.exitcode == 0:  # no such moment any more
            break
        assert process.exitcode == -signal.SIGKILL
    assert event > 20 and unfinished >= 12


def test_failures_that_may_pass_are_tried_again_when_asked(tmp_path: Path, analysis: Analysis) -> None:
    files = [SourceFile(f"/in/{kind}", digest(kind)) for kind in ("refused", "failed", "crashed")]
    broken = [[Outcome(file, 0, None, file.place[4:], "why")] for file in files]  # type: ignore[arg-type]
    write(tmp_path / "a", broken)
    mended = [[Outcome(file, 0, outcomes_of(analysis)[number][0].analysis)] for number, file in enumerate(files)]
    assert write(tmp_path / "a", mended) == 0
    assert write(tmp_path / "a", mended, retry_failed=True) == 2
    assert_whole(tmp_path / "a", 2)
    assert [row["kind"] for row in rows(tmp_path / "a", "errors")] == ["refused"]


def test_two_runs_do_not_write_at_a_time(tmp_path: Path) -> None:
    with (
        ArchiveWriter(LocalStore(tmp_path / "a"), PARTITION),
        pytest.raises(MammoscopeError, match="a: another run writes to it; wait for its end, or choose another"),
        ArchiveWriter(LocalStore(tmp_path / "a"), PARTITION),
    ):
        pass


def test_on_an_object_store_the_run_that_began_last_writes(analysis: Analysis) -> None:
    store, exams = RemoteStore(f"memory://{os.urandom(6).hex()}/a.parquet"), outcomes_of(analysis)
    with (
        pytest.raises(MammoscopeError, match=r"a\.parquet: another run has begun to write here, so this one ends"),
        ArchiveWriter(store, PARTITION, images_a_part=100) as first,
    ):
        first.add(exams[0])
        with ArchiveWriter(store, PARTITION) as second:
            assert second.take(exams[0][0].file)  # not committed, so not known
            second.add(exams[0])
    with ArchiveWriter(store, PARTITION) as third:
        assert not any(third.take(one.file) for one in exams[0])
        assert all(third.take(one.file) for one in exams[1])


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("letter.txt", "dear radiologist", r"a: holds 'letter\.txt' and is no archive; choose an empty or a new place"),
        ("archive.json", "{", r"archive\.json: does not state the archive's version"),
        ("archive.json", '{"schema_version": "7"}', r"json: is an archive of version '7', this program writes '1'"),
    ],
)
def test_what_is_no_archive_is_left_alone(tmp_path: Path, name: str, content: str, problem: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / name).write_text(content)
    with pytest.raises(MammoscopeError, match=problem), ArchiveWriter(LocalStore(tmp_path / "a"), PARTITION):
        pass
    assert (tmp_path / "a" / name).read_text() == content


def test_a_damaged_part_is_named(tmp_path: Path, analysis: Analysis) -> None:
    write(tmp_path / "a", outcomes_of(analysis))
    (part, *_) = sorted((tmp_path / "a" / "images").rglob("part-*"))
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(MammoscopeError, match=f"{part}: cannot be read"):
        write(tmp_path / "a", outcomes_of(analysis))
