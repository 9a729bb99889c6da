"""What segmenters of convolutions have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from mammoscope.errors import RecipeError


def convolution(channels_in: int, channels_out: int, *, normalised: bool = True) -> nn.Sequential:
    """A 3 x 3 convolution that keeps the size, batch normalisation where ``normalised``, and ReLU."""
    layers: list[nn.Module] = [nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=not normalised)]
    if normalised:
        layers.append(nn.BatchNorm2d(channels_out))
    return nn.Sequential(*layers, nn.ReLU())


def double_convolution(channels_in: int, channels_out: int, *, normalised: bool = True) -> nn.Sequential:
    """Two of ``convolution``."""
    return nn.Sequential(
        convolution(channels_in, channels_out, normalised=normalised),
        convolution(channels_out, channels_out, normalised=normalised),
    )


def residual_path(channels_in: int, channels_out: int) -> nn.Sequential:
    """Two 3 x 3 convolutions, normalised, without the last ReLU: for a sum with a shortcut (He et al. 2016)."""
    return nn.Sequential(
        convolution(channels_in, channels_out),
        nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
    )


class ChannelAttention(nn.Module):
    """Squeeze and excitation: each channel times a weight that follows from the means of all (Hu et al. 2018).

    Parameters
    ----------
    channels
        Of the maps.
    ratio
        Channels for each unit of the layer between.
    """

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        between = max(1, channels // ratio)
        self.weigh = nn.Sequential(
            nn.Conv2d(channels, between, 1), nn.ReLU(), nn.Conv2d(between, channels, 1), nn.Sigmoid()
        )

    def forward(self, maps: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same shape."""
        return cast(Tensor, maps * self.weigh(torch.mean(maps, dim=(2, 3), keepdim=True)))


def check_halvings(input_size: int, filters: Sequence[int]) -> None:
    """See that an image can be halved between all levels.

    Raises
    ------
    RecipeError
        It cannot; names both settings.
    """
    stride = 2 ** (len(filters) - 1)
    if input_size % stride:
        raise RecipeError(
            f"input_size is {input_size}, expected a multiple of {stride}, the deepest stride of {len(filters)} filters"
        )
