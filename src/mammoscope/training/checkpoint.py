"""The state of a training on disk: tensors and a JSON header in one safetensors file, written in one go."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mammoscope.errors import RecipeError
from mammoscope.files import replacing

_HEADER = "mammoscope"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors and a JSON header; a kill at any moment leaves the old file or the new one."""
    owned = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        save_file(owned, temporary, metadata={_HEADER: json.dumps(header)})


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what ``write_tensors`` wrote. Nothing is unpickled.

    Raises
    ------
    RecipeError
        The file is not a checkpoint of mammoscope.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            header = (stored.metadata() or {}).get(_HEADER)
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise RecipeError(f"{path}: cannot be read as a checkpoint ({error})") from None
    if header is None:
        raise RecipeError(f"{path}: was not written by mammoscope")
    return tensors, json.loads(header)


def is_ours(path: Path) -> bool:
    """Whether a file was written by ``write_tensors``; timm's weights were not."""
    try:
        with safe_open(path, framework="pt") as stored:
            return _HEADER in (stored.metadata() or {})
    except (SafetensorError, OSError):
        return False


def load_weights(model: nn.Module, path: Path) -> dict[str, Any]:
    """Load the weights of a finished training into a model of the same architecture; returns their header.

    Raises
    ------
    RecipeError
        The weights belong to another architecture.
    """
    tensors, header = read_tensors(path)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise RecipeError(f"{path}: its weights do not fit this architecture ({str(error).splitlines()[0]})") from None
    return header


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimizer's running averages, under flat names."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{name}": value for number, values in state.items() for name, value in values.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put running averages back."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
