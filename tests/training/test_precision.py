"""Depthwise convolutions are trained in 16 bits with the gradients that torch gives."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from torch import Tensor, nn

from mammoscope.training.precision import training_pass

CPU = torch.device("cpu")


def convolution(**settings: Any) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(**{"in_channels": 6, "out_channels": 6, "kernel_size": 3, "groups": 6, "padding": 1, **settings})


def gradients(network: nn.Conv2d, inputs: Tensor, *, faster: bool, enabled: bool = True) -> list[Tensor]:
    network.zero_grad()
    leaf = inputs.clone().requires_grad_()
    with training_pass(CPU if faster else torch.device("cuda")), torch.autocast("cpu", torch.bfloat16, enabled=enabled):
        output = network(leaf)
        output.float().square().sum().backward()
    found = [output, leaf.grad, network.weight.grad, *([] if network.bias is None else [network.bias.grad])]
    return [tensor.detach() for tensor in found if tensor is not None]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"bias": False, "stride": 2},
        {"kernel_size": 5, "padding": 2, "stride": (1, 2)},
        {"dilation": 2, "padding": 0},
        {"padding": "same"},
        {"out_channels": 12},
        {"groups": 1},
        {"groups": 3},
    ],
    ids=str,
)
def test_gradients_are_those_of_torch(settings: dict[str, Any]) -> None:
    network, inputs = convolution(**settings), torch.rand(2, 6, 9, 11)
    plain, faster = (gradients(network, inputs, faster=given) for given in (False, True))
    assert len(plain) == len(faster) == 3 + (network.bias is not None)
    for ours, theirs in zip(faster, plain, strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        torch.testing.assert_close(ours.float(), theirs.float(), rtol=0.02, atol=0.02 * theirs.abs().max().item())


def test_without_autocast_nothing_is_rounded() -> None:
    network, inputs = convolution(), torch.rand(1, 6, 8, 8)
    plain, faster = (gradients(network, inputs, faster=given, enabled=False) for given in (False, True))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(faster, plain, strict=True))


def test_a_frozen_input_gets_no_gradient() -> None:
    network, inputs = convolution(), torch.rand(1, 6, 8, 8)
    with training_pass(CPU), torch.autocast("cpu", torch.bfloat16):
        network(inputs).float().sum().backward()
    assert network.weight.grad is not None and network.weight.grad.dtype == torch.float32 and inputs.grad is None
