"""GLAM: where something is and how malignant it is, learned from labels of whole images alone.

Liu et al. 2021, "Weakly-supervised High-resolution Segmentation of Mammography Images for Breast Cancer Diagnosis",
after Shen et al. 2021, "An interpretable classifier for high-resolution breast cancer screening images utilizing weakly
supervised localization" (GMIC). A narrow network sees the whole breast and marks where it may be benign or malignant; a
wide one sees the patches that are marked most, at full resolution, and marks them more finely.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal, NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import nms

from mammoscope.errors import RecipeError
from mammoscope.families.backbone import make_backbone, seen_by
from mammoscope.families.family import Exported, Fitted, Source
from mammoscope.families.recipe import Count, JointRecipe, Share
from mammoscope.families.roles import GradedFound, JointFamily
from mammoscope.families.saliency import extents, salient_windows, top_mean, windows, within
from mammoscope.families.samples import JointBatch

CLASSES = ("benign", "malignant")
STRIDE = 16  # pixels of the image in a cell of the global module's finest map
MASK = 28  # cells of an outline along a side of its box
_DEEPEST = 64  # its coarsest map's
_SCALES = (0.2, 0.6, 0.2)  # how much each of its maps counts, finest first
_LEAST = 1e-6  # of a probability that becomes a logit

Side = Annotated[int, Field(ge=STRIDE, le=1024, multiple_of=STRIDE)]


class GlamRecipe(JointRecipe):
    """Settings of a GLAM."""

    filters: Annotated[int, Field(ge=4, le=64)] = Field(default=16, description="Of the global module's first stage.")
    backbone: str = Field(default="resnet34", description="Of the local module: a ResNet of timm.")
    local_strides: tuple[Literal[1, 2], Literal[1, 2], Literal[1, 2]] = Field(
        default=(1, 1, 1), description="Of its second, third and fourth stage."
    )
    patch_size: Side = Field(default=512, description="Side of the patches in pixels of the input.")
    patches: Count = 6
    attention: Count = Field(default=128, description="Units of the gated attention over the patches.")
    global_share: Share = Field(default=0.03, description="Of a map's largest cells, whose mean is its score.")
    local_share: Share = Field(default=0.3, description="The same of the map of a patch.")
    sparsity: Annotated[float, Field(ge=0)] = Field(
        default=0.05, description="Weight of the mean of all maps' cells in the loss: their L1 norm."
    )


class GlamFamily(JointFamily[GlamRecipe]):
    """Saliency of whole breasts and of their most salient patches."""

    name = "glam"
    Recipe = GlamRecipe
    source = Source(
        paper='Liu et al. 2021, "Weakly-supervised High-resolution Segmentation of Mammography Images for Breast '
        'Cancer Diagnosis"; Shen et al. 2021, "An interpretable classifier for high-resolution breast cancer screening '
        'images utilizing weakly supervised localization"',
        licence="Apache-2.0 (timm)",
        differs="written from the papers; the input is square, 2944 x 1920 in the paper. Chosen where the papers were "
        "not clear to us: an image's local score is the mean of its patches' scores, weighted by attention; the weight "
        "of the maps' L1 norm; the optimiser. Ours: patches are chosen by the sum of the classes, not first brought to "
        "one range as in Shen et al., by which a class that is nowhere chose most patches; one phase, from random "
        "weights or timm's of the local module; a region a patch, around the cells from half of its peak on which rows "
        "and columns connect to it. No box or outline is in the loss, but a benign lesion whose box mostly leaves the "
        "picture in augmentation no longer labels it, and the validation that chooses the epoch, and a bundle's fits, "
        "look at boxes and outlines of validation patients",
    )
    trial: ClassVar = {
        "input_size": 128, "filters": 4, "backbone": "test_resnet", "local_strides": [2, 1, 1], "patch_size": 32,
        "patches": 2, "attention": 8,
    }  # fmt: skip

    def network(self, recipe: GlamRecipe, fitted: Fitted, init: str | None) -> Glam:
        """See ``Glam``."""
        if recipe.input_size % _DEEPEST:
            raise RecipeError(f"input_size is {recipe.input_size}, expected a multiple of {_DEEPEST}")
        if recipe.patch_size > recipe.input_size:
            raise RecipeError(f"patch_size is {recipe.patch_size}, more than input_size, {recipe.input_size}")
        return Glam(recipe, init)

    def loss(
        self, network: nn.Module, batch: JointBatch, recipe: GlamRecipe, autocast: torch.autocast
    ) -> dict[str, Tensor]:
        """Cross entropy of the global, local and fused scores with the images' labels, and the L1 norm of the maps."""
        with autocast:
            seen = cast(Glam, network)(batch.images)
        labels = image_labels(batch)
        of_scales = [_cross_entropy(top_mean(maps, recipe.global_share), labels) for maps in seen.global_maps]
        maps = torch.stack([each.mean() for each in (*seen.global_maps, seen.local_maps)])
        return {
            "global_loss": torch.stack(of_scales).mean(),
            "local_loss": _cross_entropy(seen.local_scores, labels),
            "fusion_loss": _cross_entropy(seen.fused.sigmoid(), labels),
            "sparsity_loss": recipe.sparsity * maps.mean(),
        }

    def detect(self, network: nn.Module, images: Tensor, autocast: torch.autocast) -> list[GradedFound]:
        """A region a patch; the image is as malignant as the fused score says."""
        model = cast(Glam, network)
        with autocast:
            seen = model(images)
        found = []
        for at, columns in enumerate(zip(*model.regions(seen), strict=True)):
            boxes, scores, _, malignancy = columns
            kept = nms(boxes, scores, 0.3)
            boxes, scores, malignancy = (column[kept].double().cpu().numpy() for column in (boxes, scores, malignancy))
            found.append(GradedFound(boxes, scores, malignancy, float(seen.fused[at, 1])))
        return found

    def decoded(self, network: nn.Module, recipe: GlamRecipe, fitted: Fitted) -> nn.Module:
        """See ``Decoded``."""
        return Decoded(cast(Glam, network))

    def export(self, network: nn.Module, recipe: GlamRecipe, fitted: Fitted) -> Exported:
        """All weights in 32 bits: rounded ones would look at other patches where two are nearly as salient."""
        largest = max(parameter.numel() for parameter in network.parameters())
        return replace(super().export(network, recipe, fitted), kept_elements=largest)


class Seen(NamedTuple):
    """What a GLAM sees on N images and K patches of each; classes are ``CLASSES``, all but ``fused`` in [0, 1].

    Attributes
    ----------
    global_maps
        Saliency of the whole images, finest first, ``(N, 2, h, w)`` each.
    rows, columns
        ``(N, K) int64``: where each patch begins, in cells of the finest map.
    local_maps
        ``(N, K, 2, s, s)``: saliency of the patches.
    local_scores
        ``(N, 2)``: the patches' scores, by the attention that each patch has.
    saliency
        ``(N, K, 2, s, s)``: mean of the local map and of what the global one says of the patch.
    fused
        ``(N, 2)`` logits of the whole images.
    """

    global_maps: tuple[Tensor, ...]
    rows: Tensor
    columns: Tensor
    local_maps: Tensor
    local_scores: Tensor
    saliency: Tensor
    fused: Tensor


class Glam(nn.Module):
    """Global module, greedy retrieval of patches, local module with gated attention (Ilse et al. 2018), and fusion."""

    def __init__(self, recipe: GlamRecipe, init: str | None) -> None:
        super().__init__()
        self.patch_size, self.patches, self.local_share = recipe.patch_size, recipe.patches, recipe.local_share
        self.whole = GlobalModule(recipe.filters)
        self.local, width = local_module(recipe, init)
        self.mark = nn.Conv2d(width, len(CLASSES), 1)
        self.content, self.gate = nn.Linear(width, recipe.attention), nn.Linear(width, recipe.attention)
        self.attend = nn.Linear(recipe.attention, 1)
        self.fuse = nn.Linear(self.whole.width + width, len(CLASSES))

    def forward(self, images: Tensor) -> Seen:
        """``(N, 1, S, S)`` normalised; see ``Seen``."""
        maps, of_whole = self.whole(images)
        finest = maps[0].shape[2:]
        joined = maps[0] * _SCALES[0]
        for weight, coarser in zip(_SCALES[1:], maps[1:], strict=True):
            joined = joined + weight * functional.interpolate(coarser, size=finest, mode="bilinear")
        side = self.patch_size // STRIDE
        rows, columns = salient_windows(joined.detach(), side, self.patches)
        patches = windows(images, rows * STRIDE, columns * STRIDE, self.patch_size).flatten(0, 1)
        features = self.local(patches.contiguous(memory_format=torch.channels_last))
        local = self.mark(features).float().sigmoid()
        behind = windows(joined, rows, columns, side).flatten(0, 1)
        behind = functional.interpolate(behind, size=local.shape[2:], mode="bilinear")
        local, saliency = (each.unflatten(0, rows.shape) for each in (local, (local + behind) / 2))
        described = features.amax(dim=(2, 3)).unflatten(0, rows.shape)
        rated = self.attend(self.content(described).tanh() * self.gate(described).sigmoid())
        attention = rated.float().softmax(dim=1)
        fused = self.fuse(torch.cat([of_whole, (attention * described).sum(dim=1)], dim=1)).float()
        scores = (attention * top_mean(local, self.local_share)).sum(dim=1)
        return Seen(maps, rows, columns, local, scores, saliency, fused)

    def regions(self, seen: Seen) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A region a patch: boxes ``(N, K, 4)``, scores ``(N, K)``, masks ``(N, K, M, M)``, malignancy ``(N, K)``.

        The box holds the patch's saliency of either class from half its peak on, the score is the peak, the mask is the
        saliency over its peak. The malignancy is the logit of the image's fused malignant probability, less on patches
        that are less malignant than the most malignant one: times the quotient of their scores.
        """
        either = seen.saliency.amax(dim=2).flatten(0, 1)
        cells, peak = extents(either), either.amax(dim=(1, 2))
        begins = torch.stack([seen.columns, seen.rows] * 2, dim=2).flatten(0, 1) * STRIDE
        boxes = cells * (self.patch_size / either.shape[2]) + begins
        masks = within(either, cells, MASK) / peak.clamp(min=_LEAST)[:, None, None]
        of_patch = top_mean(seen.saliency[:, :, 1], self.local_share)
        share = of_patch / of_patch.amax(dim=1, keepdim=True).clamp(min=_LEAST)
        malignant = (seen.fused[:, 1:].sigmoid() * share).clamp(_LEAST, 1 - _LEAST)
        shape = seen.rows.shape
        malignancy = (malignant / (1 - malignant)).log()
        return boxes.view(*shape, 4), peak.view(shape), masks.clamp(0, 1).view(*shape, MASK, MASK), malignancy


class Block(nn.Module):
    """Two 3 x 3 convolutions, normalised and activated before each (He et al. 2016, "Identity Mappings")."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first_norm, self.norm = nn.BatchNorm2d(channels_in), nn.BatchNorm2d(channels)
        self.first = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        changes = stride != 1 or channels_in != channels
        self.shortcut = nn.Conv2d(channels_in, channels, 1, stride, bias=False) if changes else None

    def forward(self, maps: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, channels, H / stride, W / stride)``."""
        active = self.first_norm(maps).relu()
        beside = maps if self.shortcut is None else self.shortcut(active)
        return cast(Tensor, beside + self.second(self.norm(self.first(active)).relu()))


class GlobalModule(nn.Module):
    """ResNet-22, in which each of the last three of five stages marks both classes."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        widths = [filters * 2**stage for stage in range(5)]
        self.width = widths[-1]
        self.stem = nn.Sequential(nn.Conv2d(1, filters, 7, 2, padding=3, bias=False), nn.MaxPool2d(3, 2, padding=1))
        self.stages = nn.ModuleList(
            nn.Sequential(Block(before, width, stride), Block(width, width, 1))
            for before, width, stride in zip([filters, *widths], widths, (1, 2, 2, 2, 2), strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[2:])
        self.marks = nn.ModuleList(nn.Conv2d(width, len(CLASSES), 1) for width in widths[2:])

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """``(N, 1, S, S)`` to three maps ``(N, 2, h, w)``, finest first, and a description ``(N, width)``."""
        levels = [self.stem(images)]
        for stage in self.stages:
            levels.append(stage(levels[-1]))
        active = [norm(level).relu() for norm, level in zip(self.norms, levels[-3:], strict=True)]
        maps = tuple(mark(level).float().sigmoid() for mark, level in zip(self.marks, active, strict=True))
        return maps, active[-1].amax(dim=(2, 3))


class Decoded(nn.Module):
    """The network as the bundle runs it, for one image: see ``Glam.regions``."""

    def __init__(self, network: Glam) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``(1, 1, S, S)`` to boxes, scores, masks and malignancy of its K regions."""
        boxes, scores, masks, malignancy = self.network.regions(self.network(image))
        return boxes[0], scores[0], masks[0], malignancy[0]


def local_module(recipe: GlamRecipe, init: str | None) -> tuple[nn.Module, int]:
    """A ResNet without its head, ``(N, 1, P, P)`` to ``(N, channels, s, s)``, and its channels."""
    body = make_backbone(recipe.backbone, init, num_classes=0, global_pool="")
    for number, stride in enumerate(recipe.local_strides, start=2):
        stage = getattr(body, f"layer{number}", None)
        if stage is None:
            raise RecipeError(f"backbone is {recipe.backbone!r}, expected a ResNet: it has no stage layer{number}")
        for layer in stage.modules() if stride == 1 else ():
            if isinstance(layer, nn.Conv2d):
                layer.stride = (1, 1)
            elif isinstance(layer, nn.AvgPool2d):
                layer.kernel_size = layer.stride = 1
    return body, int(seen_by(body, recipe.backbone, torch.zeros(1, 1, recipe.patch_size, recipe.patch_size)).shape[1])


def image_labels(batch: JointBatch) -> Tensor:
    """``(N, 2)`` of images: 1 with a lesion of the class, 0 without, NaN not known."""
    benign = [
        torch.where((grades == 0).any(), 1.0, torch.where(grades.isnan().any(), torch.nan, 0.0))
        for grades in batch.malignant
    ]
    return torch.stack([torch.stack(benign).to(batch.labels), batch.labels], dim=1)


def _cross_entropy(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Of ``(N, 2)`` with the labels that are known; 0 where none is."""
    known = labels.isfinite()
    each = functional.binary_cross_entropy(probabilities, torch.where(known, labels, 0.0), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)
