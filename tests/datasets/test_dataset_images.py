"""Images of a dataset: depth, scale and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from small_datasets import breast, lesion, write

from mammoscope.datasets.images import dataset_mammogram, read_crop, read_image, read_mask
from mammoscope.datasets.pixels import image_size, pixel_hash
from mammoscope.errors import DatasetError
from mammoscope.mammogram import Laterality


def saved(path: Path, pixels: NDArray[Any]) -> Path:
    cv2.imwrite(str(path), pixels)
    return path


def test_8_bits_are_spread_over_16(tmp_path: Path) -> None:
    pixels = np.array([[0, 1, 128, 255]], np.uint8)
    assert read_image(saved(tmp_path / "a.png", pixels)).tolist() == [[0, 257, 128 * 257, 65535]]


def test_16_bits_stay(tmp_path: Path) -> None:
    pixels = np.array([[0, 1, 40000, 65535]], np.uint16)
    assert read_image(saved(tmp_path / "a.png", pixels)).tolist() == pixels.tolist()


def test_mask_is_split_in_the_middle(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", np.array([[0, 127, 128, 255]], np.uint8))
    assert read_mask(path).tolist() == [[False, False, True, True]]


@pytest.mark.parametrize("read", [read_image, read_crop, read_mask, image_size])
@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_what_is_not_an_image_is_named(tmp_path: Path, read: Any, content: bytes | None) -> None:
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"a\.png: "):
        read(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_an_image_that_is_cut_off_is_refused(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"a.{suffix}", breast(1))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DatasetError, match=rf"a\.{suffix}: is cut off"):
        read_image(path)


def test_a_whole_file_with_damaged_pixels_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", breast(1))
    data = path.read_bytes()
    start = data.index(b"IDAT") + 4
    path.write_bytes(data[:start] + bytes(2000) + data[start + 2000 :])
    with pytest.raises(DatasetError, match=r"a\.png: cannot be decoded"):
        read_image(path)


def test_colour_and_deep_crops_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected one grey channel"):
        read_image(saved(tmp_path / "colour.png", np.zeros((4, 4, 3), np.uint8)))
    with pytest.raises(DatasetError, match="16 bits a pixel, expected 8"):
        read_crop(saved(tmp_path / "deep.png", np.zeros((4, 4), np.uint16)))


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_size_without_decoding(tmp_path: Path, suffix: str) -> None:
    assert image_size(saved(tmp_path / f"a.{suffix}", np.zeros((33, 71), np.uint8))) == (71, 33)


def test_hash_is_of_the_pixels_and_their_size(tmp_path: Path) -> None:
    pixels = breast(1)
    as_png = read_image(saved(tmp_path / "a.png", pixels))
    as_tiff = read_image(saved(tmp_path / "a.tif", pixels))
    as_deep = read_image(saved(tmp_path / "b.png", pixels.astype(np.uint16) * 257))
    assert pixel_hash(as_png) == pixel_hash(as_tiff) == pixel_hash(as_deep)
    other = as_png.copy()
    other[0, 0] += 1
    assert len({pixel_hash(as_png), pixel_hash(other), pixel_hash(as_png.reshape(100, 400))}) == 3


def test_mammogram_of_a_dataset(tmp_path: Path) -> None:
    dataset = write(tmp_path, [lesion("P_1", breast_side="RIGHT", view="MLO", pixel_aspect=1.6)])
    mammogram = dataset_mammogram(dataset, "P_1_LEFT_CC.png")
    assert (mammogram.name, mammogram.file_format, mammogram.view) == ("P_1_LEFT_CC", "PNG", "MLO")
    assert mammogram.laterality is Laterality.RIGHT
    assert mammogram.pixel_aspect == pytest.approx(1.6)
