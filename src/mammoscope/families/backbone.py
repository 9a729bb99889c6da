"""timm backbones on one grey channel, started from a timm name or from a local safetensors file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from timm.models import adapt_input_conv
from torch import Tensor, nn

from mammoscope.errors import RecipeError


def make_backbone(name: str, init: str | None, **options: Any) -> nn.Module:
    """Build a timm model that takes one grey channel.

    Parameters
    ----------
    name
        timm's name of the architecture.
    init
        A safetensors file with a timm state dict of that architecture; ``"timm"`` for timm's own pretrained weights
        (fetched by timm where there is a network); None for random weights.
    options
        For ``timm.create_model``: ``features_only``, ``out_indices``, ``num_classes``…

    Raises
    ------
    RecipeError
        timm does not know the name, or the file does not fit the architecture.
    """
    if not timm.is_model(name):
        raise RecipeError(f"backbone is {name!r}, which timm {timm.__version__} does not know")
    model: nn.Module = timm.create_model(name, pretrained=init == "timm", in_chans=1, **options)
    if init and init != "timm":
        _load_start(model, name, Path(init))
    return model


def _load_start(model: nn.Module, name: str, path: Path) -> None:
    """Copy the weights that fit; the first convolution's colour channels are summed into one."""
    if not path.is_file():
        raise RecipeError(f"init is {str(path)!r}: no such file (a safetensors file, or 'timm', is expected)")
    source = {key: value.float() for key, value in load_file(path).items()}
    target = model.state_dict()
    # timm's feature extractors keep the names of the plain model, except that they may flatten dots to underscores.
    renamed = {key.replace(".", "_"): key for key in source}
    loaded: dict[str, Tensor] = {}
    for key, value in target.items():
        match = key if key in source else renamed.get(key.replace(".", "_"))
        if match is None:
            continue
        weights = source[match]
        if weights.ndim == 4 and weights.shape[1] == 3 and value.shape[1] == 1:
            weights = adapt_input_conv(1, weights)
        if weights.shape == value.shape:
            loaded[key] = weights
    parameters = {key for key, _ in model.named_parameters()}
    covered = len(parameters & loaded.keys()) / max(1, len(parameters))
    if covered < 0.9:
        raise RecipeError(f"{path}: its weights fit only {covered:.0%} of backbone {name!r}")
    model.load_state_dict(loaded, strict=False)


class PixelNorm(nn.Module):
    """Normalise pixels in [0, 1] as the backbone's pretraining did, averaged over the colour channels."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, pixels: Tensor) -> Tensor:
        """``(N, 1, H, W)`` in [0, 1] to the same shape, about zero mean and unit variance."""
        return torch.div(pixels - self.mean, self.std)
