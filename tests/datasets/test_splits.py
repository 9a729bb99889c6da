"""Splits by patient, and their folders."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from small_datasets import lesion, write

from mammoscope.datasets.folds import deal
from mammoscope.datasets.importers.cbis_ddsm.published import published_folds
from mammoscope.datasets.layout import Dataset, load_dataset
from mammoscope.datasets.splits import patient_folds, split_patients, write_split
from mammoscope.errors import DatasetError

SHARED = Path(__file__).parents[2] / "../shared/data/cbis-ddsm-mass/train"
NEEDS_SHARED = pytest.mark.skipif(not SHARED.is_dir(), reason="the training data is not at ../shared/data")


def dataset_of(count: int, malignant: int) -> Dataset:
    rows = [lesion(f"P_{n}", pathology="MALIGNANT" if n < malignant else "BENIGN") for n in range(count)]
    return Dataset(Path("none"), tuple(rows), "0" * 64)


@pytest.fixture
def six(tmp_path: Path) -> Dataset:
    rows = [lesion(f"P_{n}", crop=f"{n}.png", mask=f"{n}.png") for n in range(4)]
    rows += [lesion("P_4"), lesion("P_5"), lesion("P_5", abnormality_id="2", x=90)]
    return write(tmp_path / "data", rows)


@pytest.mark.parametrize(("count", "malignant"), [(1, 0), (5, 5), (23, 10), (100, 3), (691, 320)])
def test_folds_are_even_within_each_stratum(count: int, malignant: int) -> None:
    folds = patient_folds(dataset_of(count, malignant))
    assert len(folds) == count
    sizes = Counter(folds.values())
    assert max(sizes.values()) - min(sizes[fold] for fold in range(5)) <= 1
    of_malignant = Counter(folds[f"P_{n}"] for n in range(malignant))
    assert max(of_malignant.values(), default=0) - min(of_malignant[fold] for fold in range(5)) <= 1


def test_every_patient_validates_once() -> None:
    dataset = dataset_of(23, 9)
    validated: list[str] = []
    for fold in range(5):
        train, validation = split_patients(dataset, fold=fold)
        assert not set(train.patients) & set(validation.patients)
        assert len(train.lesions) + len(validation.lesions) == 23
        validated += validation.patients
    assert sorted(validated) == sorted(dataset.patients)


def test_split_is_the_same_everywhere_and_follows_the_seed() -> None:
    dataset = dataset_of(20, 8)
    # Written down once: a split that changes makes every published figure a figure of another split.
    assert split_patients(dataset)[1].patients == ("P_14", "P_5", "P_7", "P_8")
    assert split_patients(dataset, seed=1)[1].patients != split_patients(dataset)[1].patients


def of_published(patients: list[str]) -> Dataset:
    pathology = {True: "MALIGNANT", False: "BENIGN"}
    rows = [lesion(patient, pathology=pathology[published_folds()[patient][0]]) for patient in patients]
    return Dataset(Path("none"), tuple(rows), "0" * 64)


def test_published_folds_are_what_the_rule_deals() -> None:
    published = published_folds()
    assert len(published) == 691
    assert deal({patient: malignant for patient, (malignant, _) in published.items()}) == {
        patient: fold for patient, (_, fold) in published.items()
    }


def test_no_patient_of_the_published_folds_is_on_two_sides() -> None:
    dataset = of_published(list(published_folds()))
    validated: list[str] = []
    for fold in range(5):
        train, validation = split_patients(dataset, fold=fold)
        assert set(validation.patients) == {patient for patient, (_, own) in published_folds().items() if own == fold}
        assert set(train.patients) == set(dataset.patients) - set(validation.patients)
        malignant = sum(published_folds()[patient][0] for patient in validation.patients)
        assert abs(malignant - sum(one for one, _ in published_folds().values()) / 5) < 1
        validated += validation.patients
    assert sorted(validated) == sorted(published_folds())


def test_a_published_patient_keeps_the_fold_whoever_is_missing() -> None:
    some = sorted(published_folds())[::3]
    assert patient_folds(of_published(some)) == {patient: published_folds()[patient][1] for patient in some}
    assert patient_folds(of_published(some), seed=1) == deal(
        {patient: published_folds()[patient][0] for patient in some}, seed=1
    )


def test_a_part_of_the_published_split_and_strangers_are_dealt() -> None:
    part = [patient for patient, (_, fold) in published_folds().items() if fold != 0]
    assert set(patient_folds(of_published(part)).values()) == set(range(5))
    mixed = [*part[:20], "P_99999"]
    rows = [lesion(patient) for patient in mixed]
    assert patient_folds(Dataset(Path("none"), tuple(rows), "")) == deal(dict.fromkeys(mixed, True))


@NEEDS_SHARED
def test_published_folds_are_of_the_training_data() -> None:
    dataset = load_dataset(SHARED)
    malignant = dict.fromkeys(dataset.patients, False)
    for row in dataset.lesions:
        malignant[row.patient_id] |= row.malignant
    assert malignant == {patient: one for patient, (one, _) in published_folds().items()}


@pytest.mark.parametrize("fold", [-1, 5])
def test_fold_out_of_range(fold: int) -> None:
    with pytest.raises(ValueError, match="must be in the range"):
        split_patients(dataset_of(5, 2), fold=fold)


def test_folders_hold_the_two_parts(six: Dataset, tmp_path: Path) -> None:
    folders = write_split(six, tmp_path / "split", fold=1, folds=3, seed=5)
    assert folders == (tmp_path / "split/train", tmp_path / "split/validation")
    for folder, part in zip(folders, split_patients(six, fold=1, folds=3, seed=5), strict=True):
        written = load_dataset(folder)
        assert written.lesions == part.lesions
        assert sorted(path.name for path in (folder / "images").iterdir()) == sorted(part.images)
        assert sorted(path.name for path in (folder / "crops").iterdir()) == sorted(
            row.crop for row in part.lesions if row.crop
        )
        for image in part.images:
            assert written.image_path(image).read_bytes() == six.image_path(image).read_bytes()


def test_description_of_the_split(six: Dataset, tmp_path: Path) -> None:
    write_split(six, tmp_path / "split", fold=1, folds=3, seed=5)
    described = json.loads((tmp_path / "split/split.json").read_text())
    assert (described["fold"], described["folds"], described["seed"]) == (1, 3, 5)
    assert described["source_sha256"] == six.sha256
    assert sorted(described["patients"]["train"] + described["patients"]["validation"]) == list(six.patients)


def test_files_are_copied_where_they_cannot_be_linked(
    six: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("another device")

    monkeypatch.setattr("mammoscope.datasets.files.os.link", refuse)
    train, _ = write_split(six, tmp_path / "split")
    image = next(iter(load_dataset(train).images))
    assert (train / "images" / image).stat().st_nlink == 1


def test_target_in_use_is_refused_and_untouched(six: Dataset, tmp_path: Path) -> None:
    (tmp_path / "split").mkdir()
    (tmp_path / "split/notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match="not empty"):
        write_split(six, tmp_path / "split")
    assert [path.name for path in (tmp_path / "split").iterdir()] == ["notes.txt"]


def test_empty_target_and_remains_of_a_killed_run_are_not_an_obstacle(six: Dataset, tmp_path: Path) -> None:
    (tmp_path / "split").mkdir()
    (tmp_path / ".split.part/train/images").mkdir(parents=True)
    write_split(six, tmp_path / "split")
    assert sorted(path.name for path in (tmp_path / "split").iterdir()) == ["split.json", "train", "validation"]
    assert not (tmp_path / ".split.part").exists()


def test_part_without_patients_is_refused(tmp_path: Path) -> None:
    dataset = write(tmp_path / "data", [lesion("P_1")])
    with pytest.raises(DatasetError, match="leaves no patient for"):
        write_split(dataset, tmp_path / "split")
    assert not (tmp_path / "split").exists()
