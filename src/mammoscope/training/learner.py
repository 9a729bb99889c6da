"""A network while it is trained: with the optimiser of its parameters, and the state to resume both from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mammoscope.families.recipe import LoopSettings
from mammoscope.training.checkpoint import optimizer_tensors, restore_optimizer


class Learner:
    """A network, and the optimiser of those of its parameters that require a gradient."""

    def __init__(self, network: nn.Module, settings: LoopSettings, device: torch.device) -> None:
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self.optimizer = _optimizer(self.parameters, settings)
        self.clip = settings.gradient_clip

    def step(self, loss: Tensor, learning_rate: float) -> None:
        """Change the parameters once."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """During a block no gradient of its parameters is computed, only what passes through the network."""
        for parameter in self.parameters:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in self.parameters:
                parameter.requires_grad_(True)

    def state(self) -> dict[str, Mapping[str, Tensor]]:
        """Of the network and of the optimiser."""
        return {"model": self.network.state_dict(), "optimizer": optimizer_tensors(self.optimizer)}

    def restore(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """The opposite of ``state``."""
        self.network.load_state_dict(state["model"])
        restore_optimizer(self.optimizer, state["optimizer"])


def _optimizer(parameters: Sequence[nn.Parameter], settings: LoopSettings) -> torch.optim.Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, rate, momentum=settings.momentum, weight_decay=decay)
    return (torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam)(
        parameters, rate, weight_decay=decay
    )
