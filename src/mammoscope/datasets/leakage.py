"""Find what two datasets share: patients, pixels, or images that differ only in how they were stored.

Near duplicates are found in two steps. Candidates come from a descriptor of 48 x 48 values, with even
contrast so that the breast's outline does not outweigh its texture; they are laid on each other by an affine alignment
(Evangelidis and Psarakis 2008) and compared in the fine texture. Each image is squeezed to a square first, so a
stretched copy is compared like any other, and compared with the image mirrored and turned by multiples of 90 degrees as
well: copies that augmentation has made are found too.

The threshold comes from the 1231 mammograms of the CBIS-DDSM mass training split. Largest similarity of two images of
different patients: 0.66, of one patient: 0.64; smallest of 200 images and their copies (mirrored, half the size, JPEG
of quality 30, 15% brighter or darker, gamma 0.8, 2% cut off at one or at every border): 0.91.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.datasets.images import read_image
from mammoscope.datasets.layout import Dataset
from mammoscope.datasets.pixels import pixel_hash
from mammoscope.execution.backend import in_order
from mammoscope.execution.job import Apply
from mammoscope.execution.threads import Threads
from mammoscope.processes.cores import usable_cores

NEAR_DUPLICATE = 0.85

Grey = NDArray[np.float32]

_DESCRIPTOR_SIZE = 48
_THUMBNAIL_SIZE = 128
_CANDIDATE = 0.6  # least correlation of descriptors
_CANDIDATES = 6  # of each image at most
_BLOCK = 512  # images compared at once
_ORIENTATIONS = 8
_LEAST_CONTRAST = 2.0  # of 255; darker texture is noise
_ALIGNMENT_STEPS = 25
_MOST_STRETCH, _MOST_SHIFT = 0.12, 0.08  # an alignment beyond these joins different images
_BORDER = 6  # pixels at the thumbnail's border that alignment may have filled


@dataclass(frozen=True)
class Leak:
    """A patient or image that is in two datasets.

    Attributes
    ----------
    kind
        ``"patient"``, ``"pixels"`` or ``"near-duplicate"``.
    first, second
        Where: ``cbis/train: P_00001`` or ``cbis/train: P_00001_LEFT_CC.jpg``.
    measure
        Similarity of the images, 1 where they are the same.
    """

    kind: Literal["patient", "pixels", "near-duplicate"]
    first: str
    second: str
    measure: float

    def __str__(self) -> str:
        words = {"patient": "the same patient", "pixels": "the same pixels", "near-duplicate": "nearly the same image"}
        return f"{words[self.kind]} ({self.measure:.2f}): {self.first} and {self.second}"


@dataclass(frozen=True, eq=False)
class _Fingerprints:
    """The images of a dataset, reduced.

    Attributes
    ----------
    hashes
        Of the pixels.
    descriptors
        ``(8, N, D) float32`` of unit length, of the images mirrored and turned in every way; first as they are.
    thumbnails
        ``(N, T, T) uint8``.
    """

    images: tuple[str, ...]
    hashes: tuple[str, ...]
    descriptors: Grey
    thumbnails: NDArray[np.uint8]


def check_leakage(
    datasets: Sequence[Dataset], *, progress: Callable[[int, int], None] | None = None
) -> tuple[Leak, ...]:
    """Compare every dataset with every other.

    Parameters
    ----------
    datasets
        Such as training and test; nothing is compared within one.
    progress
        Called with the images read and all images.

    Returns
    -------
    tuple of Leak
        Patients first, then images; an image pair is listed once, by the strongest kind.

    Raises
    ------
    DatasetError
        An image cannot be decoded.
    """
    total = sum(len(dataset.images) for dataset in datasets)
    prints: list[_Fingerprints] = []
    read = 0
    for dataset in datasets:
        prints.append(_fingerprints(dataset, read, total, progress))
        read += len(dataset.images)
    leaks: list[Leak] = []
    pairs = list(combinations(range(len(datasets)), 2))
    for i, j in pairs:
        shared = sorted(set(datasets[i].patients) & set(datasets[j].patients))
        leaks += [Leak("patient", _place(datasets[i], one), _place(datasets[j], one), 1.0) for one in shared]
    for i, j in pairs:
        leaks += _shared_images(datasets[i], prints[i], datasets[j], prints[j])
    return tuple(leaks)


def _place(dataset: Dataset, name: str) -> str:
    return f"{dataset.name}: {name}"


def _fingerprints(
    dataset: Dataset, already_read: int, total: int, progress: Callable[[int, int], None] | None
) -> _Fingerprints:
    def advance(read: int, _: int) -> None:
        if progress is not None:
            progress(already_read + read, total)

    prints = in_order(
        Threads(usable_cores()), Apply(partial(_fingerprint, dataset)), list(dataset.images), progress=advance
    )
    return _Fingerprints(
        tuple(dataset.images),
        tuple(one.digest for one in prints),
        np.array([one.descriptors for one in prints], dtype=np.float32)
        .reshape(-1, _ORIENTATIONS, _DESCRIPTOR_SIZE**2)
        .swapaxes(0, 1),
        np.array([one.thumbnail for one in prints], dtype=np.uint8).reshape(-1, _THUMBNAIL_SIZE, _THUMBNAIL_SIZE),
    )


class _Fingerprint(NamedTuple):
    """One image, reduced; see ``_Fingerprints``."""

    digest: str
    descriptors: list[Grey]
    thumbnail: NDArray[np.uint8]


def _fingerprint(dataset: Dataset, image: str) -> _Fingerprint:
    pixels = read_image(dataset.image_path(image))
    thumbnail = _thumbnail(pixels)
    descriptors = [_descriptor(_oriented(thumbnail, number)) for number in range(_ORIENTATIONS)]
    return _Fingerprint(pixel_hash(pixels), descriptors, thumbnail)


def _oriented(image: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """A square image as it is (0), turned (1 to 3), mirrored (4), mirrored and turned (5 to 7)."""
    return np.ascontiguousarray(np.rot90(image[:, ::-1] if number >= 4 else image, number % 4))


def _shared_images(first: Dataset, a: _Fingerprints, second: Dataset, b: _Fingerprints) -> list[Leak]:
    same: list[Leak] = []
    where: dict[str, list[int]] = {}
    for row, digest in enumerate(a.hashes):
        where.setdefault(digest, []).append(row)
    equal = {(row, column) for column, digest in enumerate(b.hashes) for row in where.get(digest, ())}
    for row, column in sorted(equal):
        same.append(Leak("pixels", _place(first, a.images[row]), _place(second, b.images[column]), 1.0))
    near: list[Leak] = []
    for row, column, orientation in _candidates(a, b):
        if (row, column) in equal:
            continue
        similarity = _similarity(a.thumbnails[row], _oriented(b.thumbnails[column], orientation))
        if similarity >= NEAR_DUPLICATE:
            names = _place(first, a.images[row]), _place(second, b.images[column])
            near.append(Leak("near-duplicate", *names, round(similarity, 4)))
    return same + sorted(near, key=lambda leak: -leak.measure)


def _candidates(a: _Fingerprints, b: _Fingerprints) -> list[tuple[int, int, int]]:
    """The pairs that may be near duplicates, best first of each image of ``b``: row of a, row of b, its orientation."""
    found = []
    for start in range(0, len(b.images), _BLOCK):
        every = a.descriptors[0] @ b.descriptors[:, start : start + _BLOCK].swapaxes(1, 2)
        best, orientation = every.max(axis=0), every.argmax(axis=0)
        for column in range(best.shape[1]):
            rows = np.argsort(-best[:, column])[:_CANDIDATES]
            found += [
                (int(row), start + column, int(orientation[row, column]))
                for row in rows
                if best[row, column] >= _CANDIDATE
            ]
    return found


def _thumbnail(pixels: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """The image as a square ``(T, T) uint8``, its own range of brightness stretched."""
    small = cv2.resize(pixels, (_THUMBNAIL_SIZE, _THUMBNAIL_SIZE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low, high = np.percentile(small, (1, 99.5))
    stretched = np.clip((small - low) * (255.0 / max(high - low, 1.0)), 0, 255).round()
    return np.asarray(stretched, dtype=np.uint8)


def _descriptor(thumbnail: NDArray[np.uint8]) -> Grey:
    """``(D,) float32``, of unit length; the scalar product of two is their correlation."""
    small = cv2.resize(thumbnail, (_DESCRIPTOR_SIZE, _DESCRIPTOR_SIZE), interpolation=cv2.INTER_AREA)
    texture = _texture(np.asarray(small, dtype=np.uint8), 0.8, 4.0).ravel()
    texture = texture - texture.mean()
    return np.asarray(texture / max(float(np.linalg.norm(texture)), 1e-6), dtype=np.float32)


def _texture(grey: NDArray[np.uint8], fine: float, coarse: float) -> Grey:
    """Structures between two scales (sigmas in pixels), even in contrast over the image."""
    values = grey.astype(np.float32)
    band = cv2.GaussianBlur(values, (0, 0), fine) - cv2.GaussianBlur(values, (0, 0), coarse)
    strength = np.sqrt(cv2.GaussianBlur(band * band, (0, 0), coarse))
    return np.asarray(band / (strength + _LEAST_CONTRAST), dtype=np.float32)


def _similarity(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Correlation of the fine texture of two thumbnails after alignment; 0 where they cannot be aligned."""
    change = np.eye(2, 3, dtype=np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ALIGNMENT_STEPS, 1e-3)
    try:
        cv2.findTransformECC(_texture(first, 1.0, 8.0), _texture(second, 1.0, 8.0), change, cv2.MOTION_AFFINE, criteria)
    except cv2.error:  # it does not converge for images without common structure
        return 0.0
    size = len(first)
    if np.abs(change[:, :2] - np.eye(2)).max() > _MOST_STRETCH or np.abs(change[:, 2]).max() > _MOST_SHIFT * size:
        return 0.0
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(_texture(second, 1.0, 3.0), change, (size, size), flags=how)
    covered = cv2.warpAffine(np.ones((size, size), np.float32), change, (size, size), flags=how) > 0.99
    inner = np.zeros_like(covered)
    inner[_BORDER:-_BORDER, _BORDER:-_BORDER] = covered[_BORDER:-_BORDER, _BORDER:-_BORDER]
    pair = _texture(first, 1.0, 3.0)[inner], moved[inner]
    if min(float(values.std()) for values in pair) < 1e-6:
        return 0.0
    return float(np.corrcoef(*pair)[0, 1])
