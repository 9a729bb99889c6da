"""The commands as a user types them: exit codes, one-line errors, what is printed."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from mammoscope.cli.app import main
from synthetic_dataset import write_dataset

_PROGRAM = "from mammoscope.cli.app import main; main()"


def _mammoscope(*arguments: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _PROGRAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def _here(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit code of a command run in this process, and what it says of errors."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["mammoscope", *arguments])
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code, capsys.readouterr().err


def test_help_is_instant() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = _mammoscope("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert shown.returncode == 0 and "Research use only" in " ".join(shown.stdout.split())
    # Time on a processor, which other processes do not lengthen as they do the time on the clock.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.mark.parametrize(
    "command", ["analyze", "deidentify", "audit", "example", "data", "train", "evaluate", "compare", "bundle"]
)
def test_every_command_has_a_help_page(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _here(capsys, command, "--help") == (0, "")


def test_analyze_prints_findings_and_ends_with_3_where_some_failed(exam: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(b"nothing")
    missing = tmp_path / "missing.dcm"
    good = exam / "phantom-L-CC.dcm"
    result = _mammoscope("analyze", missing, good, bad, "--out", tmp_path / "out", "--threshold", "0.2")
    assert result.returncode == 3, result.stderr
    assert "phantom-L-CC" in result.stdout and "1 of 3 analysed, 2 failed" in result.stdout
    assert f"error: {bad}" in result.stderr and f"error: {missing}" in result.stderr
    assert "Traceback" not in result.stderr
    assert json.loads((tmp_path / "out" / "phantom-L-CC.json").read_text())["outcome"] == "findings"


def test_a_name_of_any_characters_costs_one_line_and_no_traceback(exam: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "❤.dcm").write_bytes((exam / "phantom-L-CC.dcm").read_bytes())
    (folder / "two\nlines\x1b[2J.dcm").write_bytes(b"nothing")
    command = [sys.executable, "-c", _PROGRAM, "analyze", folder, "--out", tmp_path / "out"]
    # A terminal, or a file behind a pipe, that takes only Latin-1 characters.
    result = subprocess.run(
        command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "latin-1"}, check=False
    )
    assert result.returncode == 3, result.stderr
    assert b"1 of 2 analysed, 1 failed" in result.stdout
    assert b"two?lines?[2J.dcm: is not a DICOM, PNG, JPEG, TIFF or PGM file" in result.stderr
    assert b"Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["analyze", "nowhere.dcm"], "nowhere.dcm: no such file or folder"),
        (["analyze", "."], "holds no DICOM, PNG, JPEG, TIFF or PGM file"),
        (["analyze", ".", "--threshold", "2"], "--threshold"),
        (["analyze"], "Missing argument"),
        (["evaluate", "detector", ".", "--out", "o"], "lesions.csv: cannot be read"),
        (["train", "detector", ".", "--out", "o", "--recipe", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["bundle", "show", "--bundle", "nowhere"], "nowhere/bundle.json: cannot be read"),
        (["data", "import", "cbis-ddsm", ".", "o"], "csv"),
        (["train", "everything", ".", "--out", "o"], "everything"),
    ],
)
def test_wrong_usage_is_one_clear_line_and_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = _here(capsys, *arguments)
    assert code == 2 and message in said and "Traceback" not in said
    assert not (tmp_path / "o").exists()


def test_the_bundle_commands(tmp_path: Path) -> None:
    verified = _mammoscope("bundle", "verify")
    assert verified.returncode == 0 and "every file matches the manifest" in verified.stdout
    shown = json.loads(_mammoscope("bundle", "show").stdout)
    assert [step["name"] for step in shown["steps"]] == ["detect", "rescore", "select", "segment", "classify", "join"]
    assert shown["steps"][0]["provenance"]["metrics"]


def test_the_data_commands(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "set", patients=10)
    split = _mammoscope("data", "split", dataset, tmp_path / "split")
    assert split.returncode == 0, split.stderr
    train, validation = tmp_path / "split" / "train", tmp_path / "split" / "validation"
    assert _mammoscope("data", "check", train, validation).returncode == 0
    leaked = _mammoscope("data", "check", dataset, validation)
    assert leaked.returncode == 1 and "S_00" in leaked.stdout
    broken = next((validation / "images").iterdir())
    broken.unlink()  # a link to the dataset's own file
    broken.write_bytes(b"no picture")
    unsound = _mammoscope("data", "check", train, validation)
    assert unsound.returncode == 1 and unsound.stdout.count(broken.name) >= 2 and "not compared" in unsound.stdout
    described = _mammoscope("data", "describe", dataset, "--out", tmp_path / "overview")
    assert described.returncode == 0 and (tmp_path / "overview" / "overview.json").exists()


@pytest.mark.parametrize("stage", ["detector", "segmenter", "classifier", "pipeline", "weak"])
def test_evaluate_on_one_image(stage: str, tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "set", patients=1)
    result = _mammoscope("evaluate", stage, dataset, "--out", tmp_path / "out", "--draws", "50")
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["definition"] and report["dataset"]["sha256"] and report["bundle"]["sha256"]
    assert (tmp_path / "out" / "report.html").exists() and (tmp_path / "out" / "cases.csv").exists()
