"""Training in 16 bits where that is faster: when it is, and the one operation for which it is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from mammoscope.families.recipe import LoopSettings


def autocast_of(settings: LoopSettings, device: torch.device) -> torch.autocast:
    """The precision of a recipe's forward passes on a device: bfloat16, or 32 bits."""
    return torch.autocast(device.type, torch.bfloat16, enabled=_uses_bfloat16(settings, device))


def _uses_bfloat16(settings: LoopSettings, device: torch.device) -> bool:
    if settings.precision != "auto":
        return settings.precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # Emulated, it is slower than 32 bits.
    flags = Path("/proc/cpuinfo")
    return flags.exists() and any(name in flags.read_text() for name in ("avx512_bf16", "amx_bf16"))


def training_pass(device: torch.device) -> AbstractContextManager[object]:
    """Around the forward pass of a training step: its backward pass is then as fast as the device allows."""
    return _DepthwiseBackwardIn32Bits() if device.type == "cpu" else nullcontext()


class _DepthwiseBackwardIn32Bits(TorchFunctionMode):
    """Depthwise convolutions under autocast have gradients computed in 32 bits, of the same 16-bit operands.

    On processors torch has no fast 16-bit kernel for them: with 144 channels of 40 x 40 and 5 x 5 weights it took
    281 ms, in 32 bits 25 ms. A training step of EfficientNet-Lite0 takes 0.9 s rather than 1.6 s (one core, 16 images
    of 160 x 160).
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.conv2d and torch.is_grad_enabled() and torch.is_autocast_enabled("cpu"):
            return _conv2d(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _conv2d(
    input: Tensor,  # noqa: A002 (torch's name)
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """``torch.conv2d``, whose signature it has; ``input`` is ``(N, C, H, W)``."""
    if groups == 1 or groups != input.shape[1] or isinstance(padding, str):
        return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)
    shape = (_pair(stride), _pair(padding), _pair(dilation))
    output: Tensor = _Depthwise.apply(input.bfloat16(), weight.bfloat16(), shape, groups)
    return output if bias is None else output + bias.bfloat16()[:, None, None]


def _pair(given: Any) -> list[int]:
    return [given, given] if isinstance(given, int) else list(given)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, shape: tuple[list[int], list[int], list[int]], groups: int
    ) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.shape, ctx.groups = shape, groups
        stride, padding, dilation = shape
        return torch.conv2d(images, weight, None, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        images, weight = ctx.saved_tensors
        wanted = [*ctx.needs_input_grad[:2], False]
        operands = (gradient.float(), images.float(), weight.float())
        found = torch.ops.aten.convolution_backward(*operands, None, *ctx.shape, False, [0, 0], ctx.groups, wanted)
        of_images, of_weight = (part if part is None else part.bfloat16() for part in found[:2])
        return of_images, of_weight, None, None
