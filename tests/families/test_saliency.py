"""Saliency maps: their scores, their most salient windows, and the extent of what is salient."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch

from mammoscope.families.saliency import extents, salient_windows, top_mean, windows, within


@pytest.mark.parametrize(("share", "expected"), [(0.25, (4 + 3) / 2), (0.01, 4.0), (1.0, 10 / 8)])
def test_a_score_is_the_mean_of_the_largest_cells(share: float, expected: float) -> None:
    maps = torch.tensor([[1.0, 0, 4, 0], [0, 3, 0, 2]]).expand(2, 3, 2, 4)
    assert torch.equal(top_mean(maps, share), torch.full((2, 3), expected))


def test_windows_are_the_most_salient_and_do_not_overlap() -> None:
    maps = torch.zeros(2, 1, 6, 8)
    maps[0, 0, 1:3, 2:4], maps[0, 0, 4, 7] = 1.0, 0.5
    maps[1, 0, 5, 0] = 1.0
    rows, columns = salient_windows(maps, 2, 3)
    # The first of equal windows is taken; the third of the first image is the first place that is left.
    assert list(zip(rows[0].tolist(), columns[0].tolist(), strict=True)) == [(1, 2), (3, 6), (0, 0)]
    assert (rows[1, 0], columns[1, 0]) == (4, 0)
    for image in range(2):
        covered = torch.zeros(6, 8)
        for row, column in zip(rows[image], columns[image], strict=True):
            covered[row : row + 2, column : column + 2] += 1
        assert covered.max() == 1


def test_where_no_place_is_left_windows_overlap_as_little_as_they_can() -> None:
    maps = torch.zeros(1, 1, 2, 5)
    maps[0, 0, :, 1:3] = 1.0
    rows, columns = salient_windows(maps, 2, 3)
    assert rows.tolist() == [[0, 0, 0]]
    assert columns.tolist() == [[1, 3, 0]]


def test_a_class_that_is_nowhere_chooses_no_window() -> None:
    maps = torch.zeros(1, 2, 4, 4)
    maps[0, 0, 1, 1], maps[0, 0, 2, 3] = 0.9, 0.8
    maps[0, 1, 0, 0] = 0.01  # faint, though the peak of its class
    rows, columns = salient_windows(maps, 1, 3)
    assert list(zip(rows[0].tolist(), columns[0].tolist(), strict=True)) == [(1, 1), (2, 3), (0, 0)]


def test_noise_of_the_last_digits_chooses_no_window() -> None:
    flat = torch.full((1, 1, 8, 8), 0.3)
    noisy = flat + torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 1e-6
    assert torch.equal(torch.stack(salient_windows(flat, 2, 4)), torch.stack(salient_windows(noisy, 2, 4)))


def test_windows_are_cut_from_their_own_image() -> None:
    images = torch.arange(2 * 3 * 5 * 6).reshape(2, 3, 5, 6)
    rows, columns = torch.tensor([[0, 3], [2, 1]]), torch.tensor([[4, 0], [1, 3]])
    cut = windows(images, rows, columns, 2)
    for image in range(2):
        for place in range(2):
            row, column = rows[image, place], columns[image, place]
            assert torch.equal(cut[image, place], images[image, :, row : row + 2, column : column + 2])


def test_the_extent_ends_where_half_the_peak_ends() -> None:
    maps = torch.zeros(4, 6, 8)
    maps[0, 2:4, 3:6], maps[0, 2, 3] = 0.5, 1.0
    maps[0, 5, 0] = 0.6  # apart by row and by column
    maps[0, 2, 6] = 0.49
    maps[1, 5, 7] = 0.2
    maps[2] = 0.7
    maps[3, 0, 0], maps[3, 0, 4] = 1.0, 1.0  # of equal peaks the first, and what is apart on its row is not of it
    boxes = extents(maps)
    assert boxes.tolist() == [[3, 2, 6, 4], [7, 5, 8, 6], [0, 0, 8, 6], [0, 0, 1, 1]]
    assert extents(torch.zeros(1, 4, 4)).tolist() == [[0, 0, 4, 4]]


def test_what_lies_in_a_box_is_resampled() -> None:
    maps = torch.arange(24.0).reshape(1, 4, 6)
    assert torch.allclose(within(maps, torch.tensor([[2.0, 1, 4, 3]]), 2)[0], maps[0, 1:3, 2:4], atol=1e-4)
    whole = within(maps, torch.tensor([[0.0, 0, 6, 4]]), 12)[0]
    assert whole.mean() == pytest.approx(maps.mean().item(), rel=1e-3)
    assert within(maps, torch.tensor([[5.0, 3, 6, 4]]), 1).item() == pytest.approx(23, abs=1e-4)
