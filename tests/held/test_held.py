"""Findings and figures are those of the release in ``recorded/``: what moves inside must not be seen outside.

The record was written by ``held.record``. Names in it are those of drawn images and of the public CBIS-DDSM.
"""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from held import figures, findings
from held.drawn import write_small_dataset
from held.images import GROUPS, NEEDS, TRAINING
from held.record import SMALL, SMALL_OPTIONS, VALIDATION, machine, read
from held.release import write_release
from mammoscope.bundle import Bundle, load_bundle

MANY_IMAGES = ("training-images", "drawn-breasts")
FEW = ("phantom-small", "no-breast", "no-mass", "three-masses", "mass-at-the-wall", "long-pixels-right")
QUICK_STAGES = ("pipeline",)  # all steps are in it


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle that the record is of."""
    return load_bundle(write_release(tmp_path_factory.mktemp("bundles") / "release"))


@pytest.mark.timeout(1800)  # many images take minutes where the cores are shared
@pytest.mark.parametrize(
    ("group", "few"),
    [
        pytest.param("drawn-breasts", FEW, id="few-drawn-breasts"),
        *(pytest.param(name, (), id=name, marks=[pytest.mark.load] if name in MANY_IMAGES else []) for name in GROUPS),
    ],
)
def test_findings_are_those_of_the_release(group: str, few: tuple[str, ...], release: Bundle, tmp_path: Path) -> None:
    _skip_without(NEEDS.get(group))
    held, moved, names = read(group), list[str](), list[str]()
    for name, mammogram in GROUPS[group](tmp_path):
        names.append(name)
        if not few or name in few:
            moved += findings.differences(name, held[name], findings.analysed(mammogram, release))
    assert names == list(held)
    assert not moved, "\n".join(moved)


@pytest.mark.parametrize(
    "stage",
    [pytest.param(name, marks=[] if name in QUICK_STAGES else [pytest.mark.load]) for name in figures.STAGES],
)
def test_figures_of_a_small_dataset_are_those_of_the_release(stage: str, release: Bundle, tmp_path: Path) -> None:
    dataset = write_small_dataset(tmp_path / "small")
    _hold(SMALL, stage, figures.evaluated(stage, dataset, tmp_path / "out", *SMALL_OPTIONS, *_of(release)))


@pytest.fixture(scope="module")
def validation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The validation patients of fold 0."""
    _skip_without(TRAINING / "lesions.csv")
    return figures.divided(TRAINING, tmp_path_factory.mktemp("split") / "split")


@pytest.mark.load
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("stage", figures.STAGES)
def test_figures_of_the_validation_patients_are_those_of_the_release(
    stage: str, validation: Path, release: Bundle, tmp_path: Path
) -> None:
    _hold(VALIDATION, stage, figures.evaluated(stage, validation, tmp_path / "out", *_of(release)))


def _of(bundle: Bundle) -> tuple[str, str]:
    return ("--bundle", str(bundle.folder))


def test_the_record_holds_what_a_user_would_notice() -> None:
    drawn = read("drawn-breasts")
    assert len(drawn) == 20
    assert drawn["no-breast"]["outcome"] == "no_breast_found"
    outcomes = {drawn[name]["outcome"] for name in FEW}
    assert outcomes == {row["outcome"] for row in drawn.values()} == {"findings", "no_finding", "no_breast_found"}
    assert any(len(row["findings"]) > 2 for row in drawn.values())
    assert len(read("phantom-exam")) == 4 and len(read("training-images")) == 46 and len(read("film")) == 1


MOVES = {
    "detection_score": 1e-4,
    "malignancy_score": 2e-6,
    "malignancy": "other",
    "box": [0, 0.02, 0, 0],
    "outline": [2],
    "size_mm": [1.0, 0.1],
    "outline_points": 999,
    "outline_length_and_area": [10.0, 0.0],
}


@pytest.mark.parametrize("key", MOVES)
def test_a_finding_that_moved_is_told(key: str) -> None:
    held = read("phantom-exam")["phantom-L-CC"]
    now = copy.deepcopy(held)
    finding, move = now["findings"][0], MOVES[key]
    match finding[key], move:
        case list(values), list():
            finding[key] = [value + add for value, add in zip(values, [*move, *[0] * len(values)], strict=False)]
        case float(value), float():
            finding[key] = value + move
        case _:
            finding[key] = move
    assert not list(findings.differences("L-CC", held, copy.deepcopy(held)))
    (told,) = findings.differences("L-CC", held, now)
    assert told.startswith("L-CC, finding 1: ")


def test_a_finding_that_is_gone_is_told() -> None:
    held = read("phantom-exam")["phantom-L-CC"]
    now = held | {"findings": held["findings"][1:]}
    assert list(findings.differences("L-CC", held, now)) == [
        f"L-CC: {len(held['findings']) - 1} findings, were {len(held['findings'])}"
    ]


def test_a_figure_that_moved_or_is_gone_is_told() -> None:
    held = {"ap.value": 0.51234, "ap.ci95[0]": 0.4, "lesions": 17, "auc": None}

    def told(now: figures.Figures, *, same_machine: bool = True) -> list[str]:
        return list(figures.differences("detector", held, now, same_machine=same_machine))

    assert not told(held | {"new": 1.0})
    assert told(held | {"ap.value": 0.51234001}) and not told(held | {"ap.value": 0.51234001}, same_machine=False)
    assert told(held | {"ap.value": 0.5124}, same_machine=False) == ["detector: ap.value is 0.5124, was 0.51234"]
    assert told(held | {"auc": 0.5}) == ["detector: auc is 0.5, was None"]
    assert told({"ap.value": 0.51234, "ap.ci95[0]": 0.4, "auc": None}) == ["detector: lesions is gone, was 17"]


def _hold(record: str, stage: str, now: figures.Figures) -> None:
    held = read(record)
    same_machine = held["machine"]["name"] == machine()
    moved = list(figures.differences(stage, held[stage], now, same_machine=same_machine))
    assert not moved, "\n".join(moved)


def _skip_without(path: Path | None) -> None:
    if path is not None and not path.exists():
        pytest.skip(f"needs the shared data: {path} is absent")
