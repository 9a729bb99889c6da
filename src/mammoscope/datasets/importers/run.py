"""Bring a published collection into the dataset layout, at full resolution: the part that all importers share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mammoscope.datasets.croissant import CROISSANT_FILE, write_croissant
from mammoscope.datasets.importers.importer import Found, FoundImage, Importer, lesion_name
from mammoscope.datasets.importers.records import ImportedImage, ImportedLesion, ViewResult, ViewTask
from mammoscope.datasets.importers.report import ImportReport, SplitCounts
from mammoscope.datasets.importers.view import import_view
from mammoscope.datasets.info import INFO_FILE, DatasetInfo, write_folds
from mammoscope.datasets.layout import IMAGE_TABLE, TABLE, Dataset, write_layout
from mammoscope.errors import DatasetError
from mammoscope.execution.backend import Backend, Crashed
from mammoscope.execution.job import Apply
from mammoscope.execution.processes import Processes
from mammoscope.files import write_json, write_text
from mammoscope.processes.cores import usable_cores

REPORT = "import_report.json"
FOLDS_TABLE = "folds.csv"
_RECORDS = ".import"  # finished work, one small file for each image name

Skipped = tuple[str, str]  # a lesion, or an image without one, and the reason


@dataclass
class _Split:
    """What one split holds, in the order in which it was found."""

    images: dict[str, ImportedImage] = field(default_factory=dict)
    lesions: list[ImportedLesion] = field(default_factory=list)
    names: list[str] = field(default_factory=list)  # of the lesions, in reports
    files: int = 0

    def add(self, found: FoundImage, image: ImportedImage, lesions: list[ImportedLesion]) -> None:
        """An image and its lesions; a file with the same pixels as another adds its lesions alone."""
        self.files += 1
        known = self.images.setdefault(image.row.image, image)
        if lesions and known.row.normal is not False:
            self.images[image.row.image] = replace(known, row=replace(known.row, normal=False))
        self.lesions += lesions
        self.names += [lesion_name(found.place, one.lesion.abnormality_id) for one in lesions]

    def counts(self) -> SplitCounts:
        """How many images, images without a lesion, and lesions."""
        bare = self.images.keys() - {one.lesion.image for one in self.lesions}
        normals = [name for name in bare if self.images[name].row.normal is not False]
        return SplitCounts(len(self.images), len(normals), len(self.lesions))


def run_import(
    importer: Importer,
    source: Path,
    out: Path,
    *,
    workers: int | None = None,
    backend: Backend | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Import a download of a collection.

    Each split is a folder below ``out`` in the dataset layout: 16-bit PNG of whole images, 8-bit crops and masks of
    256 x 256 pixels, the two tables, ``dataset.json`` and ``croissant.json``; a collection without splits is one such
    folder, ``out`` itself. Beside them is ``import_report.json``. A run that was stopped is resumed; what is missing or
    damaged in the download is left out, and tried again by the next run.

    Parameters
    ----------
    workers
        Processes; None: one for each core.
    backend
        In place of processes: a backend in which a crash, as of a damaged file's decoder, may end everything.
    progress
        Called with the lesions (and images without one) done and all of them, after each image name.

    Raises
    ------
    DatasetError
        The source is not a download of this collection, or the target cannot be written.
    """
    found = importer.find(source)
    if not found.images:
        raise DatasetError(f"{source}: holds no image of {importer.title}")
    for name, text in found.files.items():
        write_text(out / Path(name).name, text)
    images, repeated = _without_repeats(found.images)
    tasks = _tasks(images, out)
    results, skipped = _worked(tasks, backend or Processes(workers or usable_cores()), progress)
    splits = _splits(tasks, results)
    for name, split in splits.items():
        _write_split(out / name, split, _info(importer, found, name), found.folds.get(name, {}))
    report = ImportReport(
        splits={name: split.counts() for name, split in splits.items()},
        reused=sum(result.reused for result in results.values()),
        skipped=_in_order([*found.problems, *repeated, *skipped], found),
        resized_masks=tuple((name, one.resized) for name, one in _lesions(splits) if one.resized),
        merged_images=sum(split.files - len(split.images) for split in splits.values()),
        same_pixels=_same_pixels(splits),
        remarks=_remarks(splits, found),
        counted=found.counted,
    )
    write_json(out / REPORT, report.as_json())
    return report


def _worked(
    tasks: Sequence[ViewTask], backend: Backend, progress: Callable[[int, int], None] | None
) -> tuple[dict[Path, ViewResult], list[Skipped]]:
    """Do all tasks: their results by their record, and what was left out."""
    results: dict[Path, ViewResult] = {}
    skipped: list[Skipped] = []
    total, count = sum(len(task.names()) for task in tasks), 0
    for task, result in backend.run(Apply(import_view), tasks):
        if isinstance(result, Crashed):
            skipped += [(name, "the process that read it crashed") for name in task.names()]
        else:
            results[task.record] = result
            skipped += result.skipped
        count += len(task.names())
        if progress is not None:
            progress(count, total)
    return results, skipped


def _in_order(skipped: Iterable[Skipped], found: Found) -> tuple[Skipped, ...]:
    """As the collection lists them; what it does not list by these names comes first."""
    names = [name for image in found.images for name in image.names()]
    order = {name: place for place, name in reversed(list(enumerate(names)))}
    return tuple(sorted(skipped, key=lambda one: order.get(one[0], -1)))


def _without_repeats(images: Iterable[FoundImage]) -> tuple[list[FoundImage], list[Skipped]]:
    """The images with the first lesion of each name, and what is left out as it repeats one."""
    seen: set[str] = set()
    kept, repeated = [], []
    for image in images:
        first = []
        for lesion in image.lesions:
            if image.name_of(lesion) in seen:
                repeated.append((image.name_of(lesion), "the collection lists this lesion twice"))
            else:
                first.append(lesion)
                seen.add(image.name_of(lesion))
        if first or not image.lesions:
            kept.append(replace(image, lesions=tuple(first)))
    return kept, repeated


def _tasks(images: Iterable[FoundImage], out: Path) -> list[ViewTask]:
    """One for each image name, as files of one name may hold the same image."""
    named: defaultdict[tuple[str, str], list[FoundImage]] = defaultdict(list)
    for image in images:
        of_name = named[image.split, image.name]
        of_name.append(image)
        if image.patient_id != of_name[0].patient_id:
            raise DatasetError(f"{image.place}: the collection gives this image to two patients")
    return [
        ViewTask(tuple(of_name), out / split, out / _RECORDS / split / f"{name}.json")
        for (split, name), of_name in named.items()
    ]


def _splits(tasks: Iterable[ViewTask], results: dict[Path, ViewResult]) -> dict[str, _Split]:
    """What each split holds now; an image whose lesions are all skipped is left out: it would count as normal."""
    splits: dict[str, _Split] = {}
    for task in tasks:
        result = results.get(task.record, ViewResult())
        for found in task.images:
            split = splits.setdefault(found.split, _Split())
            image = result.images.get(found.digest())
            digests = [found.digest(lesion) for lesion in found.lesions]
            lesions = [result.lesions[digest] for digest in digests if digest in result.lesions]
            if image is not None and (lesions or not found.lesions):
                split.add(found, image, lesions)
    return splits


def _info(importer: Importer, found: Found, split: str) -> DatasetInfo:
    stated = found.info or DatasetInfo()
    own = {
        "name": stated.name or importer.title,
        "licence": stated.licence or importer.licence,
        "credit": stated.credit or importer.credit,
        "citation": stated.citation or importer.citation,
        "url": stated.url or getattr(importer, "url", ""),
        "made": f"mammoscope data import {importer.name}",
        "folds": FOLDS_TABLE if found.folds.get(split) else None,
    }
    return stated.model_copy(update=own)


def _write_split(folder: Path, split: _Split, info: DatasetInfo, folds: Mapping[str, int]) -> None:
    if not split.images:
        for name in (TABLE, IMAGE_TABLE, INFO_FILE, FOLDS_TABLE, CROISSANT_FILE):
            (folder / name).unlink(missing_ok=True)
        return
    if folds:
        write_folds(folder / FOLDS_TABLE, folds)
    rows = tuple(image.row for image in split.images.values())
    dataset = Dataset(folder, tuple(one.lesion for one in split.lesions), "", rows, info)
    write_layout(dataset)
    write_croissant(dataset)


def _lesions(splits: Mapping[str, _Split]) -> Iterator[tuple[str, ImportedLesion]]:
    """All lesions with their names in reports."""
    for split in splits.values():
        yield from zip(split.names, split.lesions, strict=True)


def _remarks(splits: Mapping[str, _Split], found: Found) -> dict[str, tuple[str, ...]]:
    remarks: dict[str, list[str]] = {word: [] for word in found.counted}
    remarks |= {word: list(names) for word, names in found.remarks.items()}
    for name, lesion in _lesions(splits):
        if lesion.remark:
            remarks.setdefault(lesion.remark, []).append(name)
    return {word: tuple(names) for word, names in remarks.items()}


def _same_pixels(splits: Mapping[str, _Split]) -> tuple[tuple[str, str], ...]:
    first: dict[str, str] = {}
    pairs = []
    for split_name, split in splits.items():
        for image in split.images.values():
            name = f"{split_name}/{image.row.image}".removeprefix("/")
            if first.setdefault(image.pixel_hash, name) != name:
                pairs.append((first[image.pixel_hash], name))
    return tuple(pairs)
