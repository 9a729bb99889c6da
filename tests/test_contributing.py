"""The recipes of CONTRIBUTING.md work as they stand there: the package is made from the page, installed, and used."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from installed import default_said_to_learn_from, mammoscope
from mammoscope import kinds
from mammoscope.bundle import MANIFEST, default_bundle_folder, load_bundle
from mammoscope.findings import Analysis
from mammoscope.kinds import Kind
from synthetic_dataset import write_dataset

PAGE = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def blocks(word: str) -> dict[str, str]:
    """The blocks of the page whose first line ends in ``word=NAME``, by name."""
    return dict(re.findall(rf"```\w+ {word}=(\S+)\n(.*?)```", PAGE, re.S))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's package, installed as the page says."""
    pytest.importorskip("hatchling", reason="needs the extra 'dev', which builds packages without a network")
    source, folder = tmp_path_factory.mktemp("my-extensions"), tmp_path_factory.mktemp("site")
    for name, text in blocks("file").items():
        (source / name).write_text(text, encoding="utf-8")
    offline = ("--quiet", "--no-index", "--no-build-isolation", "--no-deps", "--disable-pip-version-check")
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", folder, source], check=True)
    shutil.copy(source / "blurred.toml", folder)
    return folder


@pytest.mark.training
def test_a_family_is_trained_built_into_a_bundle_and_measured(site: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra 'train'")
    data = write_dataset(tmp_path / "data", patients=6)
    run, made = tmp_path / "run", tmp_path / "bundle"
    mammoscope(site, "train", "segmenter", data, "--recipe", site / "blurred.toml", "--out", run)
    assert json.loads((run / "run.json").read_text())["recipe"]["family"] == "blurred"
    bundle = default_said_to_learn_from(data, tmp_path / "others")
    parts = ("--detector", bundle, "--segmenter", run, "--classifier", bundle)
    mammoscope(site, "bundle", "build", data, *parts, "--out", made)
    step = load_bundle(made).manifest.first("segment")
    assert step is not None and step.provenance is not None and step.provenance.family == "blurred"
    mammoscope(site, "evaluate", "segmenter", data, "--bundle", made, "--out", tmp_path / "report", "--draws", "10")
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert 0 <= report["iou_mean"]["value"] <= 1


def test_a_step_runs_where_the_manifest_lists_it(site: Path, exam: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(default_bundle_folder(), tmp_path / "bundle"))
    manifest = json.loads(load_bundle(folder).manifest.model_dump_json())
    place = [step["role"] for step in manifest["steps"]].index("select")
    manifest["steps"].insert(place, json.loads(blocks("file")["step.json"]))
    (folder / MANIFEST).write_text(json.dumps(manifest))
    assert "sure: SureOnly loads" in mammoscope(site, "bundle", "verify", "--bundle", folder)
    scores = {}
    for name, options in (("with", ("--bundle", folder)), ("without", ())):
        mammoscope(site, "analyze", exam / "phantom-L-CC.dcm", "--threshold", "0.1", "--out", tmp_path / name, *options)
        analysis = Analysis.model_validate_json((tmp_path / name / "phantom-L-CC.json").read_bytes())
        scores[name] = [finding.detection_score for finding in analysis.findings]
    assert scores["with"] == [score for score in scores["without"] if score >= 0.4] != scores["without"]


@pytest.mark.load
def test_a_backend_does_every_file(site: Path, exam: Path, tmp_path: Path) -> None:
    said = mammoscope(site, "analyze", exam, "--backend", "backwards", "--out", tmp_path / "out")
    assert "4 of 4 analysed" in said


def test_a_row_is_a_kind() -> None:
    made = eval(blocks("kind")["row"], vars(kinds))
    assert isinstance(made, Kind) and made.indefinite == "a lymph node" and made.has("longest_diameter_mm")
