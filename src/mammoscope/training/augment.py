"""Random changes of images, with the same changes for masks and boxes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.families.recipe import Augmentation

_LEAST_VISIBLE = 0.4  # share of a box's area that must stay in the image for the box to stay a target


@dataclass(frozen=True, eq=False)
class Warp:
    """An affine map ``(2, 3)`` of an image: source to target coordinates, pixel ``i`` covering ``[i, i + 1)``."""

    matrix: NDArray[np.float64]

    def picture(
        self, pixels: NDArray[np.uint8], width: int, height: int, *, mirrored_border: bool = False
    ) -> NDArray[np.uint8]:
        """Move an image ``(H, W) uint8`` to one of ``width`` x ``height``.

        Outside the source it is black, or the mirrored source.
        """
        matrix = self.matrix.copy()
        # OpenCV's warp counts from pixel centres.
        matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
        border = cv2.BORDER_REFLECT_101 if mirrored_border else cv2.BORDER_CONSTANT
        moved = cv2.warpAffine(pixels, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)
        return np.asarray(moved, dtype=np.uint8)

    def boxes(self, boxes: NDArray[np.float64], width: int, height: int) -> NDArray[np.float64]:
        """Move boxes ``(N, 4)``; those that mostly leave the image are left out, see ``boxes_with_rows``."""
        return self.boxes_with_rows(boxes, width, height)[0]

    def boxes_with_rows(
        self, boxes: NDArray[np.float64], width: int, height: int
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Move boxes ``(N, 4)``: those that mostly stay in the image, and ``(N,)`` which of all those are.

        A rotated box is drawn around the ellipse inside the old one, not around its corners: masses fill the ellipse,
        and boxes around corners grow with every rotation.
        """
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2 @ self.matrix[:, :2].T + self.matrix[:, 2]
        half = np.sqrt(((boxes[:, 2:] - boxes[:, :2]) / 2) ** 2 @ (self.matrix[:, :2] ** 2).T)
        moved = np.concatenate([centres - half, centres + half], axis=1)
        clipped = np.clip(moved, 0, [width, height, width, height])
        area = (moved[:, 2:] - moved[:, :2]).prod(axis=1)
        visible = (clipped[:, 2:] - clipped[:, :2]).clip(0).prod(axis=1)
        kept = visible > _LEAST_VISIBLE * area
        return np.asarray(clipped[kept], dtype=np.float64), np.asarray(kept)


def random_warp(
    rng: np.random.Generator,
    settings: Augmentation,
    *,
    source: tuple[int, int],
    target: tuple[int, int],
    aspect: float = 1.0,
    enlarge: float = 1.0,
) -> Warp:
    """Draw a warp from an image to one of another size.

    Parameters
    ----------
    source, target
        (width, height) of the images.
    aspect
        Height of a source pixel over its width, so that rotations are true in the breast.
    enlarge
        Enlargement that is always applied; the random zoom is added to it.
    """
    angle = np.deg2rad(rng.uniform(-1, 1) * settings.rotation_degrees)
    zoom = enlarge * (1 + settings.zoom) ** rng.uniform(-1, 1)
    flip_x = -1.0 if rng.random() < settings.flip_horizontal else 1.0
    flip_y = -1.0 if rng.random() < settings.flip_vertical else 1.0
    shift = rng.uniform(-1, 1, 2) * settings.shift
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    square = np.diag([1.0, aspect])
    linear = np.linalg.inv(square) @ turn @ square @ np.diag([flip_x * zoom, flip_y * zoom])
    linear = np.diag([target[0] / source[0], target[1] / source[1]]) @ linear
    middle = linear @ (np.array(source) / 2)
    offset = np.array(target) * (0.5 + shift) - middle
    return Warp(np.concatenate([linear, offset[:, None]], axis=1))


def random_light(
    rng: np.random.Generator, settings: Augmentation, pixels: NDArray[np.uint8], *, keep_black: bool = False
) -> NDArray[np.uint8]:
    """Change brightness, contrast and gamma of an image ``(H, W) uint8``.

    ``keep_black`` leaves 0 unchanged: the background of a masked breast.
    """
    gain = 1 + rng.uniform(-1, 1) * settings.contrast
    offset = rng.uniform(-1, 1) * settings.brightness
    exponent = (1 + settings.gamma) ** rng.uniform(-1, 1)
    levels = (np.linspace(0, 1, 256) ** exponent - 0.5) * gain + 0.5 + offset
    table = (levels.clip(0, 1) * 255).round().astype(np.uint8)
    if keep_black:
        table[0] = 0
    return np.asarray(table[pixels], dtype=np.uint8)


def random_coarseness(rng: np.random.Generator, settings: Augmentation, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blur an image as if it had been cut from a scan of fewer pixels.

    In a coarse scan the square around a mass has few pixels; the image is shrunk to as many and enlarged.
    """
    if rng.random() >= settings.blur:
        return pixels
    height, width = pixels.shape
    factor = np.exp(rng.uniform(np.log(0.15), np.log(0.8)))
    small = cv2.resize(
        pixels, (max(8, round(width * factor)), max(8, round(height * factor))), interpolation=cv2.INTER_AREA
    )
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def random_erasure(rng: np.random.Generator, settings: Augmentation, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blank a small square (DeVries and Taylor 2017, "cutout")."""
    if rng.random() >= settings.erase:
        return pixels
    side = max(1, round(min(pixels.shape) * rng.uniform(0.08, 0.2)))
    top, left = (int(rng.integers(0, extent - side + 1)) for extent in pixels.shape)
    erased = pixels.copy()
    erased[top : top + side, left : left + side] = int(pixels.mean())
    return erased
