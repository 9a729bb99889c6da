"""``analyze --sr --seg … --fhir``: which files there are, when they are made again, and what fails alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pydicom
from dicom_checks import write_variant
from typer.testing import CliRunner

from mammoscope.batch import Done, Options, analyze_files
from mammoscope.bundle import Bundle
from mammoscope.cli.app import app
from mammoscope.writers.dicom.results import ResultKind

EVERY_KIND = frozenset(ResultKind)


def _run(path: Path, out: Path, bundle: Bundle, threshold: float = 0.3) -> Done:
    (done,) = analyze_files([path], out, bundle, Options(threshold, dicom=EVERY_KIND, fhir=True))
    return done


def test_results_for_archives_are_wanted_outputs_like_the_others(exam: Path, tmp_path: Path, bundle: Bundle) -> None:
    path, out = exam / "phantom-L-CC.dcm", tmp_path / "out"
    done = _run(path, out, bundle)
    names = ["cad.dcm", "fhir.json", "gsps.dcm", "json", "overlay.png", "sc.dcm", "seg.dcm", "sr.dcm"]
    assert sorted(file.name for file in out.iterdir()) == [f"phantom-L-CC.{name}" for name in names]
    assert {file.name for file in done.written} == {file.name for file in out.iterdir()}
    first = {kind: pydicom.dcmread(out / f"phantom-L-CC.{kind}.dcm").SOPInstanceUID for kind in ResultKind}
    assert _run(path, out, bundle).skipped
    (out / "phantom-L-CC.seg.dcm").unlink()
    assert not _run(path, out, bundle).skipped
    assert first == {kind: pydicom.dcmread(out / f"phantom-L-CC.{kind}.dcm").SOPInstanceUID for kind in ResultKind}
    (out / "phantom-L-CC.fhir.json").unlink()
    assert not _run(path, out, bundle).skipped
    # Nothing reaches this threshold: no segmentation is wanted, and that of the other threshold goes.
    done = _run(path, out, bundle, threshold=1.0)
    assert done.analysis and done.analysis.outcome == "no_finding" and done.error is None
    assert not (out / "phantom-L-CC.seg.dcm").exists() and (out / "phantom-L-CC.sr.dcm").exists()
    assert _run(path, out, bundle, threshold=1.0).skipped


def test_a_file_without_dicom_results_is_analysed_all_the_same(exam: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    shutil.copy(exam / "phantom-R-CC.dcm", folder / "good.dcm")
    write_variant(
        exam / "phantom-R-CC.dcm", folder / "nameless.dcm", lambda dataset: delattr(dataset, "SOPInstanceUID")
    )
    result = CliRunner().invoke(app, ["analyze", str(folder), "--out", str(out), "--sr"])
    assert result.exit_code == 3, result.output
    assert "2 of 2 analysed, 1 without DICOM results" in result.output
    assert (
        "SOPInstanceUID (0008,0018) is missing or invalid, so DICOM results cannot refer to the image" in result.output
    )
    assert sorted(file.name for file in out.glob("*.dcm")) == ["good.sr.dcm"]
    assert (out / "nameless.json").exists()


def test_the_analysis_warns_of_what_its_dicom_results_lack(exam: Path, tmp_path: Path, bundle: Bundle) -> None:
    path = write_variant(exam / "phantom-R-CC.dcm", tmp_path / "x.dcm", lambda dataset: delattr(dataset, "PatientID"))
    _run(path, tmp_path / "out", bundle)
    warnings = json.loads((tmp_path / "out" / "x.json").read_text())["warnings"]
    assert "PatientID (0010,0020) is empty, so a PACS may not file the results with the patient." in warnings
