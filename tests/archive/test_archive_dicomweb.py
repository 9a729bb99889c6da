"""What a DICOMweb server has as a source: listed, fetched, and failing as servers do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archive.contents import rows
from mammoscope.archive import fetch
from mammoscope.archive.progress import Progress
from mammoscope.archive.run import ArchiveOptions, analyze_to_archive
from mammoscope.archive.sources.dicomweb import Resource
from mammoscope.archive.sources.sources import Sources
from mammoscope.bundle import Bundle
from mammoscope.errors import InputError, MammoscopeError
from pacs.kept import Kept
from pacs.nasty_web import WebPeer, says

VIEWS = ("L-CC", "L-MLO")


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebPeer]:
    monkeypatch.setattr(fetch, "_PAUSE", 0.01)
    with WebPeer() as running:
        yield running


@pytest.fixture
def films(peer: WebPeer, exam: Path) -> list[Kept]:
    """Two views of the phantom, which the server has, with a report that is none."""
    films = [peer.add((exam / f"phantom-{view}.dcm").read_bytes()) for view in VIEWS]
    peer.add((exam / "phantom-R-CC.dcm").read_bytes(), sop_class="1.2.840.10008.5.1.4.1.1.88.33")
    return films


def url(peer: WebPeer, film: Kept) -> str:
    return f"{peer.url}/studies/{film.study}/series/{film.series}/instances/{film.sop_instance}"


def listed(*places: str) -> tuple[list[set[str]], list[str]]:
    refused: list[InputError] = []
    batches = [{file.place for file in batch} for batch in Sources(places).batches(refused.append)]
    return batches, [str(error) for error in refused]


def run(archive: Path, bundle: Bundle, *places: str, **options: Any) -> list[tuple[str, str | None]]:
    """What became of each file: its kind and its problem."""
    given = ArchiveOptions(**options)
    outcomes = list(analyze_to_archive(Sources(places), str(archive), bundle, given, Progress(), pytest.fail))
    return [(one.kind, one.problem) for one in outcomes]


@pytest.mark.parametrize(
    ("text", "root", "uids"),
    [
        ("https://pacs/dicom-web/studies", "https://pacs/dicom-web", (None, None, None)),
        ("https://pacs:8042/a/b/studies/1.2/", "https://pacs:8042/a/b", ("1.2", None, None)),
        ("HTTP://pacs/studies/1.2/series/1.3", "HTTP://pacs", ("1.2", "1.3", None)),
        ("http://pacs/studies/1.2/series/1.3/instances/1.4", "http://pacs", ("1.2", "1.3", "1.4")),
        ("https://host/studies/first.dcm", None, ()),
        ("https://host/studies/1.2/instances/1.4", None, ()),
        ("https://host/studies/1.2?key=1", None, ()),
        ("s3://bucket/studies/1.2", None, ()),
    ],
)
def test_urls_are_told_apart(text: str, root: str | None, uids: tuple[str | None, ...]) -> None:
    assert Resource.of(text) == (None if root is None else Resource(root, *uids))


def test_a_server_a_study_a_series_and_an_instance_are_listed(peer: WebPeer, films: list[Kept]) -> None:
    wanted = {url(peer, film) for film in films}
    study = f"{peer.url}/studies/{films[0].study}"
    for place in (f"{peer.url}/studies", study):
        assert listed(place) == ([wanted], [])
    of_series = {url(peer, film) for film in films if film.series == films[0].series}
    assert listed(f"{study}/series/{films[0].series}") == ([of_series], [])
    assert listed(url(peer, films[0])) == ([{url(peer, films[0])}], [])


def test_rows_of_a_table_are_of_one_exam_where_they_are_of_one_study(
    peer: WebPeer, films: list[Kept], tmp_path: Path
) -> None:
    other = f"{peer.url}/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5"
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["url", *(url(peer, film) for film in films), other]))
    assert listed(str(table)) == ([{url(peer, film) for film in films}, {other}], [])
    table.write_text(f"url\n{peer.url}/studies/{films[0].study}\n")
    assert listed(str(table)) == ([{url(peer, film) for film in films}], [])


def test_what_cannot_be_listed_is_named(peer: WebPeer, films: list[Kept], tmp_path: Path) -> None:
    peer.misbehave["/instances"] = says(503)
    study = f"{peer.url}/studies/{films[0].study}"
    assert listed(f"{peer.url}/studies") == ([], [f"{study}: answers 503 to 'search'"])
    peer.misbehave["/studies"] = says(403)
    with pytest.raises(MammoscopeError, match="answers 403 to 'search'"):
        listed(f"{peer.url}/studies")
    table = tmp_path / "table.csv"
    table.write_text(f"url\n{peer.url}/studies\n")
    assert listed(str(table)) == ([], [f"{peer.url}/studies: {peer.url} answers 403 to 'search'"])


def test_a_study_is_analysed_as_the_same_files_are(
    peer: WebPeer, films: list[Kept], exam: Path, tmp_path: Path, quick_bundle: Bundle
) -> None:
    study = f"{peer.url}/studies/{films[0].study}"
    assert run(tmp_path / "web.parquet", quick_bundle, study) == [("analysed", None)] * 2
    run(tmp_path / "files.parquet", quick_bundle, *(str(exam / f"phantom-{view}.dcm") for view in VIEWS))

    def found(archive: str) -> list[tuple[object, ...]]:
        return sorted((row["image"], row["detection_score"]) for row in rows(tmp_path / archive, "findings"))

    assert found("web.parquet") == found("files.parquet") != []
    assert run(tmp_path / "web.parquet", quick_bundle, study) == []  # each image once
    asked = [request for request in peer.asked if request.endswith(films[0].sop_instance)]
    assert len(asked) == 1


def test_what_cannot_be_fetched_is_tried_again_and_costs_only_itself(
    peer: WebPeer, films: list[Kept], tmp_path: Path, quick_bundle: Bundle
) -> None:
    first, second = films
    peer.misbehave[first.sop_instance] = lambda handler: handler.reset()
    gone = f"{peer.url}/studies/{second.study}/series/{second.series}/instances/1.2.3"
    places = (url(peer, first), url(peer, second), gone)
    done = run(tmp_path / "out.parquet", quick_bundle, *places)
    assert sorted(done, key=str) == [
        ("analysed", None),
        ("failed", "the server answers 404 to 'fetch'"),
        ("failed", "the server ended the connection on 'fetch'"),
    ]
    assert sum(first.sop_instance in request for request in peer.asked) == 3
    assert sum(request.endswith("/1.2.3") for request in peer.asked) == 1
    peer.misbehave.clear()
    again = run(tmp_path / "out.parquet", quick_bundle, *places, retry_failed=True)
    assert sorted(again, key=str) == [("analysed", None), ("failed", "the server answers 404 to 'fetch'")]


def test_a_file_that_is_too_large_is_not_fetched_to_its_end(peer: WebPeer, films: list[Kept], tmp_path: Path) -> None:
    fetcher = fetch.Fetcher(1000)
    (batch,) = Sources([url(peer, films[0])]).batches(pytest.fail)
    with pytest.raises(InputError, match="is larger than"):
        fetcher.local(batch[0], tmp_path)
