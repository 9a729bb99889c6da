"""Where a step of the models looks at whole exams, the server analyses the views of an exam together."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_process import Server

from exams.two_women import ANNA, BERTA, image, picture
from installed import PACKAGES, with_step
from mammoscope.bundle import MANIFEST, Bundle, load_bundle
from mammoscope.findings import ANALYSED_ALONE, Analysis
from mammoscope.pipeline import examine, examine_views
from mammoscope.readers import read_mammogram
from mammoscope.server import ServerSettings
from mammoscope.server.analysis_store import AnalysisStore, NewAnalysis, NewFile
from test_extensions import STEP

DEADLY: dict[str, object] = {"name": "deadly", "role": "other", "implementation": "deadly-left"}


@pytest.fixture(scope="module", autouse=True)
def installed() -> Iterator[None]:
    """Servers find the steps of the tests' package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([*sys.path, str(PACKAGES)]))
        yield


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Models that raise the score of a mass that both views of a breast show."""
    return load_bundle(with_step(tmp_path_factory.mktemp("bundles") / "paired", STEP))


@pytest.fixture(scope="module")
def paired_server(paired: Bundle, installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server"), "--bundle", str(paired.folder)) as running:
        yield running


def sent(exam: Path, *views: str) -> list[tuple[str, bytes]]:
    return [(f"{view}.dcm", (exam / f"phantom-{view}.dcm").read_bytes()) for view in views]


def results(server: Server, analysis: str) -> list[Analysis]:
    return [Analysis.model_validate(one) for one in server.client.get(f"/analyses/{analysis}/result").json()]


def test_two_views_get_the_scores_of_their_exam(paired_server: Server, paired: Bundle, exam: Path) -> None:
    cc, mlo = sent(exam, "L-CC", "L-MLO")
    analysis = paired_server.upload([cc, ("broken.dcm", cc[1][:100_000]), mlo])
    status = paired_server.wait(analysis)
    assert [file["state"] for file in status["files"]] == ["done", "failed", "done"]
    assert [file["view"]["preprocessed"] is not None for file in status["files"] if file["view"]] == [True, True]
    views = [read_mammogram(exam / f"phantom-{name}") for name in (cc[0], mlo[0])]
    floor = ServerSettings().floor
    together = [one.analysis.findings for one in examine_views(views, paired, threshold=floor)]
    found = results(paired_server, analysis)
    assert [one.findings for one in found] == together
    assert not any(ANALYSED_ALONE in one.warnings for one in found)
    assert together != [examine(view, paired, threshold=floor).analysis.findings for view in views]


def test_a_view_alone_says_that_it_was_analysed_alone(paired_server: Server, exam: Path) -> None:
    analysis = paired_server.upload(sent(exam, "L-CC"))
    paired_server.wait(analysis)
    assert results(paired_server, analysis)[0].warnings[-1] == ANALYSED_ALONE


def test_of_an_exam_that_ends_the_worker_only_the_view_at_fault_fails(exam: Path, tmp_path: Path) -> None:
    bundle = with_step(tmp_path / "bundle", STEP, DEADLY)
    with Server(tmp_path, "--bundle", str(bundle)) as server:
        analysis = server.upload(sent(exam, "R-CC", "L-CC"))
        files = {file["name"]: file for file in server.wait(analysis)["files"]}
        assert {name: file["state"] for name, file in files.items()} == {
            "R-CC.dcm": "done",
            "L-CC.dcm": "failed",
        }
        assert "the analysis process ended on it" in files["L-CC.dcm"]["error"]
        assert results(server, analysis)[0].warnings[-1] == ANALYSED_ALONE


def test_images_that_are_together_because_they_were_sent_together_are_analysed_one_by_one(
    paired: Bundle, tmp_path: Path
) -> None:
    store = AnalysisStore(tmp_path / "data", queue=8)
    analysis, folder = store.new_folder()
    for number, path in enumerate([image(tmp_path / "1.dcm", ANNA, view="CC"), image(tmp_path / "2.dcm", BERTA)]):
        (folder / str(number)).mkdir()
        shutil.move(path, folder / str(number) / "upload")
    store.add(NewAnalysis(analysis, (NewFile("1.dcm"), NewFile("2.dcm")), is_vouched=True))
    store.close()
    with Server(tmp_path, "--bundle", str(paired.folder), "--data", str(tmp_path / "data")) as server:
        assert server.wait(analysis)["state"] == "done"
        pictures = [(f"{side}.png", picture(tmp_path / f"{side}.png").read_bytes()) for side in "RL"]
        sent_together = server.upload(pictures)
        assert [file["state"] for file in server.wait(sent_together)["files"]] == ["done", "done"]
        found = [*results(server, analysis), *results(server, sent_together)]
    assert [ANALYSED_ALONE in one.warnings for one in found] == [True] * 4


def test_models_that_look_at_each_view_alone_give_its_results_before_its_exams(
    bundle: Bundle, exam: Path, tmp_path: Path
) -> None:
    steps = tuple(step for step in bundle.manifest.steps if step.name != "join")
    shutil.copytree(bundle.folder, tmp_path / "alone")
    manifest = bundle.manifest.model_copy(update={"steps": steps})
    (tmp_path / "alone" / MANIFEST).write_text(manifest.model_dump_json())
    with Server(tmp_path, "--bundle", str(tmp_path / "alone")) as server:
        assert not server.client.get("/health").json()["sees_exams"]
        analysis = server.upload(sent(exam, "R-CC", "L-CC", "R-MLO"))
        server.wait_for_file(analysis, 0, "done")
        early = server.client.get(f"/analyses/{analysis}/files/0/result")
        assert early.status_code == 200
        waiting = server.client.get(f"/analyses/{analysis}/files/2/result")
        assert waiting.status_code == 409 or server.status(analysis)["files"][2]["state"] == "done"
        server.wait(analysis)
        assert server.client.get(f"/analyses/{analysis}/result").json()[0] == early.json()
        assert server.client.get(f"/analyses/{analysis}/files/3/result").status_code == 404


def test_models_that_look_at_exams_say_so(paired_server: Server) -> None:
    assert paired_server.client.get("/health").json()["sees_exams"]
