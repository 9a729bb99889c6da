"""Classify findings as malignant or benign: a network that sees the region and its outline, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from mammoscope.candidates import Candidates, Masks, RoiBatch
from mammoscope.errors import BundleError
from mammoscope.stages.onnx import NetworkSettings, load_session, normalised, resized, sigmoid, softmax
from mammoscope.stages.roi import rois_of
from mammoscope.stages.step import NETWORK, OfKindsSettings, PreparedExam, Scope

if TYPE_CHECKING:
    import onnxruntime

_BATCH = 2  # larger batches take more memory, and no less time on a CPU
_LOGIT = "logit"
# A region as it is, and its mirror images: indices of (N, 1, H, W).
_MIRRORS = tuple((..., slice(None, None, down), slice(None, None, across)) for down in (1, -1) for across in (1, -1))
_Number = Annotated[float, Field(allow_inf_nan=False)]


class ClassifierSettings(NetworkSettings, OfKindsSettings):
    """Of ``OnnxClassifier``: the probability is ``sigmoid(slope * logit + intercept)`` (Platt 1999)."""

    slope: _Number = Field(description="Fitted on validation patients, as the intercept.")
    intercept: _Number
    flips: bool = Field(
        default=False,
        description="Whether outputs are means over the region and its three mirror images: four times the time.",
    )
    attributes: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="What else the network says, by the name of the output, and the words that its columns stand for.",
    )

    @field_validator("attributes")
    @classmethod
    def _words_differ(cls, attributes: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, words in attributes.items():
            if name == _LOGIT or len(words) < 2 or len(set(words)) < len(words):
                raise ValueError(f"{name} has the words {', '.join(words) or 'none'}, expected two or more that differ")
        return attributes


class OnnxClassifier:
    """A classifier: its network turns ``roi`` and ``mask``, ``(N, 1, H, W)`` each, into ``logit (N,)``.

    It may give more, as its settings say: for each of ``attributes`` logits ``(N, K)`` of K words, under its name.
    """

    scope: ClassVar[Scope] = "view"
    row_by_row: ClassVar[bool] = True
    Settings: ClassVar[type[ClassifierSettings]] = ClassifierSettings

    def __init__(self, session: onnxruntime.InferenceSession, settings: ClassifierSettings) -> None:
        self._session = session
        self._settings = settings

    @classmethod
    def open(cls, files: Mapping[str, Path], settings: ClassifierSettings) -> OnnxClassifier:
        """Load the network.

        Raises
        ------
        BundleError
            It does not give the attributes that the settings name.
        """
        session = load_session(files[NETWORK])
        columns = {output.name: output.shape[-1] for output in session.get_outputs()}
        for name, words in settings.attributes.items():
            if columns.get(name) != len(words):
                there = ", ".join(f"{output} ({count})" for output, count in columns.items())
                raise BundleError(f"attributes.{name} has {len(words)} words; the network's outputs are {there}")
        return cls(session, settings)

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        """The same candidates with a malignancy score each, and with attributes, where the network says any.

        Those of other kinds keep the score that they have; without one it is NaN.

        Raises
        ------
        BundleError
            No step before this one has outlined them.
        """
        if found.masks is None and len(found):
            raise BundleError("the classifier needs outlines, and no step of the bundle before it draws any")
        rois = rois_of(exam, found)
        masks = found.masks or Masks(np.zeros(rois.pixels.shape, dtype=np.float32), 0.5)
        rows = self._settings.rows(found)
        logits, said = self._outputs(rois.take(rows), masks.take(rows))
        before = found.malignancy_score
        malignancy = np.full(len(found), np.nan) if before is None else before.copy()
        malignancy[rows] = self._calibrated(logits)
        attributes = dict(found.attributes)
        for name, values in said.items():
            attributes[name] = np.full((len(found), values.shape[1]), np.nan)
            attributes[name][rows] = softmax(values)
        return replace(found, rois=rois, malignancy_score=malignancy, attributes=attributes)

    def classify(self, rois: RoiBatch, masks: Masks) -> NDArray[np.float64]:
        """``(N,)`` calibrated probabilities that each mass is malignant (Platt 1999)."""
        return self._calibrated(self.logits(rois, masks))

    def logits(self, rois: RoiBatch, masks: Masks) -> NDArray[np.float64]:
        """``(N,)`` raw outputs of the network, before calibration."""
        return self._outputs(rois, masks)[0]

    def _calibrated(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(sigmoid(self._settings.slope * logits + self._settings.intercept))

    def _outputs(self, rois: RoiBatch, masks: Masks) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
        """The network's outputs: logits of malignancy ``(N,)``, and ``(N, K)`` of each attribute."""
        settings = self._settings
        size = settings.input_width, settings.input_height
        logits = np.zeros(len(rois))
        said = {name: np.zeros((len(rois), len(words))) for name, words in settings.attributes.items()}
        mirrors = _MIRRORS if settings.flips else _MIRRORS[:1]
        for start in range(0, len(rois), _BATCH):
            place = slice(start, start + _BATCH)
            pixels = np.stack([settings.contrast.apply(roi) for roi in rois.pixels[place]])
            inside = resized(masks.binary[place].astype(np.uint8) * 255, *size)[:, None] > 127
            inputs = {"roi": normalised(resized(pixels, *size), settings), "mask": inside.astype(np.float32)}
            for mirror in mirrors:
                seen = {name: np.ascontiguousarray(values[mirror]) for name, values in inputs.items()}
                logit, *attributes = self._session.run([_LOGIT, *said] if said else None, seen)
                logits[place] += logit / len(mirrors)
                for values, output in zip(said.values(), attributes, strict=True):
                    values[place] += output / len(mirrors)
        return logits, said
