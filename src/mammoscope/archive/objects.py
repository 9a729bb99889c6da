"""DICOM and FHIR results of an archive's images: in its folder ``objects``, named by the hash of the image.

They hold what a PACS needs, the patient's name among it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from mammoscope.archive.store import Store
from mammoscope.errors import InputError
from mammoscope.findings import Analysis
from mammoscope.mammogram import Mammogram
from mammoscope.writers.dicom.results import ResultKind, encoded, results_of
from mammoscope.writers.overlay.picture import render_overlay

OBJECTS = "objects"


@dataclass(frozen=True)
class Objects:
    """Writes what is asked for; the same image and models give the same files, so a second writing changes nothing.

    Attributes
    ----------
    store, folder
        The archive, and the folder in it.
    kinds, fhir
        Which DICOM objects, and whether FHIR resources.
    """

    store: Store
    folder: str
    kinds: frozenset[ResultKind] = frozenset()
    fhir: bool = False

    def write(self, path: Path, mammogram: Mammogram, analysis: Analysis) -> tuple[Analysis, str | None]:
        """Write the results of one image.

        Parameters
        ----------
        path, mammogram, analysis
            The file, what it shows, and what was found.

        Returns
        -------
        tuple
            The analysis with warnings on these results, and why there are none; None: all were written.

        Raises
        ------
        MammoscopeError
            One cannot be written.
        """
        if not self.kinds and not self.fhir:
            return analysis, None
        from mammoscope.writers.dicom.origin import read_origin  # noqa: PLC0415 (codecs and pydicom, where wanted)

        try:
            origin = read_origin(path, analysis)
            analysis = analysis.model_copy(update={"warnings": (*analysis.warnings, *origin.notes)})
            overlay = render_overlay(mammogram, analysis) if ResultKind.SC in self.kinds else None
            results = results_of(analysis, origin, self.kinds, overlay=overlay)
        except InputError as error:
            return analysis, error.problem
        name = f"{self.folder}/{analysis.input.sha256[:2]}/{analysis.input.sha256}"
        for kind, result in results.items():
            self.store.write(f"{name}.{kind.value}.dcm", encoded(result))
        if self.fhir:
            from mammoscope.writers.fhir import fhir_bundle  # noqa: PLC0415 (highdicom's codes)

            text = json.dumps(fhir_bundle(analysis, origin), indent=2, ensure_ascii=False) + "\n"
            self.store.write(f"{name}.fhir.json", text.encode())
        return analysis, None
