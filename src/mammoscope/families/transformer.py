"""A small vision transformer beside convolutions: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words"."""

from __future__ import annotations

from typing import cast

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn


class TransformerBranch(nn.Module):
    """Patches, embedded with their position, through transformer layers, to a map of ``channels``."""

    def __init__(
        self, input_size: int, patch_size: int, embedding: int, layers: int, heads: int, channels: int
    ) -> None:
        super().__init__()
        self.patch_size = patch_size
        side = input_size // patch_size
        self.embed = nn.Conv2d(1, embedding, patch_size, patch_size)
        self.position = nn.Parameter(torch.empty(1, side * side, embedding))
        nn.init.trunc_normal_(self.position, std=0.02)
        self.layers = nn.Sequential(*(Block(embedding, heads, qkv_bias=True) for _ in range(layers)))
        self.norm = nn.LayerNorm(embedding)
        self.project = nn.Linear(embedding, channels)

    def forward(self, pictures: Tensor) -> Tensor:
        """``(N, 1, S, S)`` to ``(N, channels, S / patch_size, S / patch_size)``."""
        patches = self.embed(pictures)
        tokens = patches.flatten(2).transpose(1, 2) + self.position
        described = self.project(self.norm(self.layers(tokens)))
        return cast(Tensor, described.transpose(1, 2).reshape(-1, described.shape[2], *patches.shape[2:]))


class PooledTransformer(TransformerBranch):
    """The same with one row of features for an image, the mean over its patches: a backbone of a classifier."""

    def __init__(self, input_size: int, patch_size: int, embedding: int, layers: int, heads: int) -> None:
        super().__init__(input_size, patch_size, embedding, layers, heads, channels=embedding)
        self.num_features = embedding

    def forward(self, pictures: Tensor) -> Tensor:
        """``(N, 1, S, S)`` to ``(N, num_features)``."""
        return super().forward(pictures).mean(dim=(2, 3))
