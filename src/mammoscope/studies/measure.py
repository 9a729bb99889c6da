"""One item of a study: train it, put it into a bundle, measure it. Run in a process of its own."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from mammoscope.bundle import Bundle
from mammoscope.bundling.swap import swapped
from mammoscope.datasets.layout import Dataset, load_dataset
from mammoscope.errors import MammoscopeError
from mammoscope.evaluation.run import Stage, evaluate
from mammoscope.families.family import NOUNS, RoleName
from mammoscope.families.find import recipe_of
from mammoscope.families.recipe import SplitSettings
from mammoscope.files import write_json, write_text
from mammoscope.processes.cores import usable_cores
from mammoscope.queue.process_lock import HeldError, ProcessLock
from mammoscope.studies.costs import costs_of_step, processor
from mammoscope.studies.folders import data_folder, split_folder
from mammoscope.studies.plan import Item, Place, init_of
from mammoscope.studies.records import BUNDLE, COSTS, begin
from mammoscope.studies.study import Study, StudyError
from mammoscope.training.run import train_recipe

OUTPUT = "output.log"
ERROR = "error.log"


@dataclass(frozen=True)
class Measure:
    """The job of a study: see ``mammoscope.execution.job.Job``. The result of an item is what went wrong, or None.

    Attributes
    ----------
    draws
        Of the bootstrap in each report.
    is_pinned
        Whether each worker gets a core of its own.
    """

    study: Study
    place: Place
    draws: int
    is_pinned: bool

    @contextmanager
    def open(self) -> Iterator[Callable[[Item], str | None]]:
        """Make a worker ready."""
        with own_core(self.place.out) if self.is_pinned else ExitStack():
            torch.set_num_threads(usable_cores())
            yield self._work

    def _work(self, item: Item) -> str | None:
        item.folder.mkdir(parents=True, exist_ok=True)
        (item.folder / ERROR).unlink(missing_ok=True)
        # Two workers' progress bars on one terminal would be unreadable; the study shows how far they are.
        with (
            (item.folder / OUTPUT).open("a", encoding="utf-8") as stream,
            redirect_stdout(stream),
            redirect_stderr(stream),
        ):
            try:
                measure(self.study, self.place, item, self.draws)
            except MammoscopeError as error:
                return str(error)
            except Exception as error:
                write_text(item.folder / ERROR, traceback.format_exc())
                return f"{type(error).__name__}: {error} (see {item.folder / ERROR})"
        return None


def measure(study: Study, place: Place, item: Item, draws: int) -> None:
    """Train, swap and measure one item; a stopped training resumes.

    Raises
    ------
    MammoscopeError
        Something of the item cannot be used.
    """
    begin(item, usable_cores(), processor())
    role = study.role_of(item.entry)
    dataset = load_dataset(data_folder(place, item.entry.split))
    if item.recipe is not None:
        init = init_of(item.entry, place)
        if item.entry.init and init is None:
            raise StudyError(
                f"init is {item.entry.init!r}: no such file beside the study or among the weights (--weights DIR)"
            )
        generator = None
        if item.generator is not None:
            generator = item.generator_run
            train_recipe(NOUNS["generate"], dataset.folder, recipe_of("generate", item.generator), generator)
        train_recipe(NOUNS[role], dataset.folder, recipe_of(role, item.recipe), item.run, init, generator=generator)
    bundle = _bundle(study, place, item, role, dataset)
    validation = split_folder(place, item.entry.split, item.fold) / "validation"
    if bundle.of_roles(role):
        run = item.run if item.recipe is not None else None
        write_json(item.folder / COSTS, costs_of_step(bundle, role, load_dataset(validation), run))
    evaluate(cast(Stage, study.stage), validation, item.folder, bundle, draws=draws)


def _bundle(study: Study, place: Place, item: Item, role: RoleName, dataset: Dataset) -> Bundle:
    """The bundle that an item is measured by."""
    if item.entry.bundle is not None:
        return place.bundle(item.entry.bundle)
    new = item.run if item.recipe is not None else cast(str, item.entry.step)
    split = SplitSettings(fold=item.fold, folds=study.of_folds)
    return swapped(place.bundle(study.base), role, new, dataset, item.folder / BUNDLE, split=split)


@contextmanager
def own_core(folder: Path) -> Iterator[None]:
    """Keep this process on a core that no other worker of the study is on; does nothing where that is not possible."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    with ExitStack() as held:
        for core in sorted(cores):
            with suppress(HeldError):
                lock = ProcessLock(folder / f".core-{core}.lock")
                held.callback(lock.close)
                os.sched_setaffinity(0, {core})
                held.callback(os.sched_setaffinity, 0, cores)
                break
        yield
