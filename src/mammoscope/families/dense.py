"""Dense layers that join the features of several backbones: shared by classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def dense_layers(widths: Sequence[int], dropout: float) -> list[nn.Module]:
    """Dense layers from each of ``widths`` to the next, each activated and followed by dropout."""
    layers: list[nn.Module] = []
    for wider, narrower in pairwise(widths):
        layers += [nn.Linear(wider, narrower), nn.ReLU(), nn.Dropout(dropout)]
    return layers
