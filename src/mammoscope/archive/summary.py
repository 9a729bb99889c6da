"""What is in an archive: counted a part at a time, so that memory does not grow with it."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from mammoscope import NOTICE
from mammoscope.archive.ledger import Ledger
from mammoscope.archive.parts import Partition, check, partitions, parts_of, read_part
from mammoscope.archive.schema import ERRORS, EXAMS, FINDINGS, IMAGES
from mammoscope.archive.store import Store, store_at
from mammoscope.kinds import MALIGNANT
from mammoscope.text import printable

_MOST_PROBLEMS = 10_000  # different texts of errors that are counted; some quote a value of the file


@dataclass
class ModelsSummary:
    """What one bundle found at one threshold.

    Attributes
    ----------
    bundle, bundle_sha256, threshold
        Name and version of the models, their hash (its first digits where there is no image yet), and the detection
        score from which findings are reported.
    images, different_images
        Rows, and different hashes among them: the same number.
    outcomes, views, findings, errors, problems
        Counts by outcome of an image, by its side and view, by kind of a finding, by kind of an error, and by its text.
    exams, malignant
        Exams; findings at or above the malignancy threshold.
    findings_from, findings_above
        A detection score, and how many findings reach it.
    parts
        Files of each table.
    """

    bundle: str
    bundle_sha256: str
    threshold: float
    images: int = 0
    different_images: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    views: Counter[str] = field(default_factory=Counter)
    exams: int = 0
    findings: Counter[str] = field(default_factory=Counter)
    malignant: int = 0
    findings_from: float = 0.0
    findings_above: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    parts: int = 0

    def as_json(self) -> dict[str, Any]:
        """With the ten most frequent texts of errors."""
        plain = {name: dict(value) if isinstance(value, Counter) else value for name, value in vars(self).items()}
        return {**plain, "problems": dict(self.problems.most_common(10))}


@dataclass(frozen=True)
class Summary:
    """What is in an archive, for each of its models and thresholds."""

    place: str
    models: tuple[ModelsSummary, ...]

    def as_json(self) -> dict[str, Any]:
        """For ``archive summary --json``."""
        return {"notice": NOTICE, "models": [one.as_json() for one in self.models]}


def summary_of(target: str, threshold: float | None = None) -> Summary:
    """Read all tables of an archive.

    Parameters
    ----------
    target
        Folder or URL of the archive.
    threshold
        Detection score from which findings are counted in ``findings_above``; None: that of the analysis.

    Raises
    ------
    MammoscopeError
        It is no archive, or a part of it is damaged; names the file.
    """
    store = store_at(target)
    check(store)
    return Summary(target, tuple(_of_partition(store, one, threshold) for one in partitions(store)))


def _of_partition(store: Store, partition: Partition, threshold: float | None) -> ModelsSummary:
    own = float(partition.threshold)
    found = ModelsSummary("", partition.models, own, findings_from=own if threshold is None else threshold)
    with closing(Ledger()) as ledger:
        for name in parts_of(store, partition):
            _add_part(store, partition, name, found, ledger)
        found.different_images = ledger.images
    return found


def _add_part(store: Store, partition: Partition, name: str, found: ModelsSummary, ledger: Ledger) -> None:
    def read(table: str, *columns: str) -> dict[str, list[Any]]:
        return read_part(store, f"{partition.folder(table)}/{name}", columns)

    columns = ("image", "outcome", "laterality", "view", "bundle_name", "bundle_version", "bundle_sha256")
    images = read(IMAGES, *columns)
    found.parts += 1
    found.images += len(images["image"])
    ledger.fill((), images["image"])
    found.outcomes.update(images["outcome"])
    found.views.update(
        f"{side[0].upper() if side else '?'} {view or '?'}"
        for side, view in zip(images["laterality"], images["view"], strict=True)
    )
    if images["image"]:
        found.bundle = f"{images['bundle_name'][0]} {images['bundle_version'][0]}"
        found.bundle_sha256 = images["bundle_sha256"][0]
    found.exams += len(read(EXAMS, "exam")["exam"])
    findings = read(FINDINGS, "kind", "malignancy", "detection_score")
    found.findings.update(findings["kind"])
    found.malignant += findings["malignancy"].count(MALIGNANT.name)
    # Scores are kept as 32-bit numbers.
    found.findings_above += sum(score >= found.findings_from - 1e-7 for score in findings["detection_score"])
    errors = read(ERRORS, "kind", "problem")
    found.errors.update(errors["kind"])
    for problem in errors["problem"]:
        if problem in found.problems or len(found.problems) < _MOST_PROBLEMS:
            found.problems[printable(problem)] += 1
