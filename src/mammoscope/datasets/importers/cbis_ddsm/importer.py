"""Import CBIS-DDSM from the published DICOM download into the dataset layout, at full resolution.

Source of the data: Sawyer-Lee et al., Curated Breast Imaging Subset of Digital Database for Screening Mammography, The
Cancer Imaging Archive 2016, doi 10.7937/K9/TCIA.2016.7O02S9CY; Lee et al., Sci Data 2017;4:170177.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from mammoscope.datasets.importers.cbis_ddsm.files import Folders
from mammoscope.datasets.importers.cbis_ddsm.lesions import ImportedLesion, MammogramTask, import_mammogram
from mammoscope.datasets.importers.cbis_ddsm.tables import PATIENTS_TABLE, SPLITS, CaseRow, CaseTables, read_case_tables
from mammoscope.datasets.layout import TABLE, write_table
from mammoscope.errors import DatasetError
from mammoscope.execution.processes import run_in_processes
from mammoscope.files import replacing, write_json

REPORT = "import_report.json"
_RECORDS = ".import"  # what is done, one small file a mammogram


@dataclass(frozen=True)
class ImportReport:
    """What an import did and what it left out.

    Attributes
    ----------
    train_lesions, test_lesions, train_images, test_images
        Lesions and mammograms that the two datasets hold now.
    reused
        Lesions among them that an earlier run had finished.
    skipped
        Lesions that are missing from the datasets, each with the reason.
    resized_masks
        Lesions whose mask had another size than the mammogram, each with both sizes.
    swapped
        Lesions whose crop and mask bore each other's names.
    merged_images
        Mammogram files that held the same pixels as another of the same view, and became one image with it.
    same_pixels
        Pairs of images with the same pixels that are filed as different views, patients or splits: kept as they are.
    patients_in_mass_and_calc, patients_in_train_and_test
        Patient ids over the mass and the calcification tables together.
    """

    train_lesions: int
    test_lesions: int
    train_images: int
    test_images: int
    reused: int
    skipped: tuple[tuple[str, str], ...]
    resized_masks: tuple[tuple[str, str], ...]
    swapped: int
    merged_images: int
    same_pixels: tuple[tuple[str, str], ...]
    patients_in_mass_and_calc: tuple[str, ...]
    patients_in_train_and_test: tuple[str, ...]


def import_cbis_ddsm(
    source: Path,
    out: Path,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Import the mass lesions of a CBIS-DDSM download.

    ``OUT/train`` and ``OUT/test``, the official split, are each in the dataset layout: 16-bit PNG of the whole films,
    8-bit crops and masks of 256 x 256 pixels. Beside them lie ``patients.csv``, which tells for every patient of the
    mass and the calcification tables in which of them it is, and ``import_report.json``. A run that was stopped goes on
    where it was; a lesion whose files are missing or damaged is left out and tried again by the next run.

    Parameters
    ----------
    source
        The download: the four official tables and the DICOM folders, anywhere below.
    workers
        Processes; None: one for each processor.
    progress
        Called with the lesions done and all lesions, after each mammogram.

    Raises
    ------
    DatasetError
        A table or a column is missing, no folder of the tables is there, or the target cannot be written.
    """
    tables = read_case_tables(source)
    folders = Folders.below(source, _folder_names(tables.masses))
    if not len(folders):
        example = PurePosixPath(tables.masses[0].image_path).parts[0] if tables.masses else "Mass-Training_…"
        raise DatasetError(f"{source}: none of the folders that the tables name is below it, such as {example}")
    tables.write_patients(out / PATIENTS_TABLE)
    rows, repeated = _without_repeats(tables.masses)
    tasks = _tasks(rows, folders, out)
    done: dict[str, ImportedLesion] = {}
    skipped = [(row.name, "the table lists this lesion twice") for row in repeated]
    reused = count = 0
    for task, result in run_in_processes(import_mammogram, tasks, max(1, workers or os.cpu_count() or 1)):
        if result is None:
            skipped += [(row.name, "the process that read it crashed") for row in task.rows]
        else:
            done.update(result.done)
            skipped += result.skipped
            reused += result.reused
        count += len(task.rows)
        if progress is not None:
            progress(count, len(rows))
    for split in SPLITS:
        lesions = [done[row.digest].lesion for row in rows if row.split == split and row.digest in done]
        if lesions:
            with replacing(out / split / TABLE) as part:
                write_table(part, lesions)
        else:
            (out / split / TABLE).unlink(missing_ok=True)
    report = _report(tables, rows, done, skipped, reused)
    write_json(out / REPORT, asdict(report))
    return report


def _tasks(rows: Iterable[CaseRow], folders: Folders, out: Path) -> list[MammogramTask]:
    views: defaultdict[tuple[str, str], list[CaseRow]] = defaultdict(list)
    for row in rows:
        views[row.split, row.stem].append(row)
    return [
        MammogramTask(
            tuple(of_view), folders.only(_folder_names(of_view)), out / split, out / _RECORDS / split / f"{stem}.json"
        )
        for (split, stem), of_view in views.items()
    ]


def _folder_names(rows: Iterable[CaseRow]) -> list[str]:
    paths = (path for row in rows for path in (row.image_path, row.crop_path, row.mask_path))
    return list(dict.fromkeys(PurePosixPath(path).parts[0] for path in paths))


def _without_repeats(rows: Iterable[CaseRow]) -> tuple[list[CaseRow], list[CaseRow]]:
    """The rows with the first of each lesion, and those that repeat one."""
    first: dict[str, CaseRow] = {}
    repeated = [row for row in rows if first.setdefault(row.name, row) is not row]
    return list(first.values()), repeated


def _report(
    tables: CaseTables,
    rows: list[CaseRow],
    done: dict[str, ImportedLesion],
    skipped: list[tuple[str, str]],
    reused: int,
) -> ImportReport:
    imported = [(row, done[row.digest]) for row in rows if row.digest in done]
    lesions = Counter(row.split for row, _ in imported)
    images = {(row.split, lesion.lesion.image): lesion.pixel_hash for row, lesion in imported}
    files = {(row.split, lesion.image_path) for row, lesion in imported}
    order = {row.name: number for number, row in enumerate(tables.masses)}
    return ImportReport(
        train_lesions=lesions["train"],
        test_lesions=lesions["test"],
        train_images=sum(split == "train" for split, _ in images),
        test_images=sum(split == "test" for split, _ in images),
        reused=reused,
        skipped=tuple(sorted(skipped, key=lambda one: order[one[0]])),
        resized_masks=tuple((row.name, lesion.resized) for row, lesion in imported if lesion.resized),
        swapped=sum(lesion.swapped for _, lesion in imported),
        merged_images=len(files) - len(images),
        same_pixels=_same_pixels(images),
        patients_in_mass_and_calc=tables.in_mass_and_calc,
        patients_in_train_and_test=tables.in_train_and_test,
    )


def _same_pixels(images: dict[tuple[str, str], str]) -> tuple[tuple[str, str], ...]:
    first: dict[str, str] = {}
    pairs = []
    for (split, image), pixel_hash in images.items():
        name = f"{split}/{image}"
        if first.setdefault(pixel_hash, name) != name:
            pairs.append((first[pixel_hash], name))
    return tuple(pairs)
