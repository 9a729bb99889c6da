"""torchvision's RetinaNet (Lin et al. 2017, "Focal Loss for Dense Object Detection") on any timm backbone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNet, RetinaNetHead
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from mammoscope.families.anchors import STRIDES, Anchors, fit_anchors
from mammoscope.families.backbone import level_channels, make_levels
from mammoscope.families.family import Fitted, Source
from mammoscope.families.recipe import Count, DetectorRecipe, Share
from mammoscope.families.roles import DetectorFamily, Found, fitted_kinds, kinds_of
from mammoscope.families.samples import BreastImage, DetectorBatch
from mammoscope.kinds import DEFAULT_KIND


class RetinaNetRecipe(DetectorRecipe):
    """Settings of a RetinaNet."""

    backbone: str
    pyramid_channels: Annotated[int, Field(ge=8, le=512)] = 256
    anchor_ratios: Count = Field(default=3, description="How many; their values are fitted to the training boxes.")
    foreground_iou: Share = 0.5
    background_iou: Share = 0.4
    box_loss: Literal["l1", "giou"] = "l1"


class RetinaNetFamily(DetectorFamily[RetinaNetRecipe]):
    """Anchors on a feature pyramid, scored with focal loss."""

    name = "retinanet"
    Recipe = RetinaNetRecipe
    source = Source(
        paper='Lin et al. 2017, "Focal Loss for Dense Object Detection"',
        licence="BSD-3-Clause (torchvision)",
        differs="any timm backbone; anchors fitted to the training boxes; GIoU loss if box_loss says so",
    )
    tells_kinds = True
    trial: ClassVar = {"backbone": "test_efficientnet", "input_size": 128, "pyramid_channels": 32, "box_loss": "giou"}

    def fitted(self, recipe: RetinaNetRecipe, samples: Sequence[BreastImage]) -> dict[str, Any]:
        """Anchors for the boxes of the training images, in pixels of the detector's input; and the kinds."""
        boxes, kinds = np.concatenate([image.boxes for image in samples]), kinds_of(samples)
        classes = {} if kinds == [DEFAULT_KIND] else {"kinds": kinds}
        return {"anchors": asdict(fit_anchors(boxes, recipe.anchor_ratios)), **classes}

    def network(self, recipe: RetinaNetRecipe, fitted: Fitted, init: str | None) -> RetinaNetOfKinds:
        """See ``make_retinanet``."""
        anchors = Anchors.of(fitted["anchors"])
        model = make_retinanet(
            recipe.backbone,
            init,
            input_size=recipe.input_size,
            channels=recipe.pyramid_channels,
            anchor_base=anchors.base,
            anchor_ratios=anchors.ratios,
            foreground_iou=recipe.foreground_iou,
            background_iou=recipe.background_iou,
            kinds=fitted_kinds(fitted),
        )
        model.head.regression_head._loss_type = recipe.box_loss
        return model

    def loss(
        self, network: nn.Module, batch: DetectorBatch, recipe: RetinaNetRecipe, autocast: torch.autocast
    ) -> dict[str, Tensor]:
        """Focal loss of the scores and the loss of the boxes."""
        model = cast(RetinaNetOfKinds, network)
        with autocast:
            maps = list(model.backbone(batch.images).values())
            raw = model.head(maps)
        outputs = {name: value.float() for name, value in raw.items()}
        sizes = [(recipe.input_size, recipe.input_size)] * len(batch.boxes)
        anchors = model.anchor_generator(ImageList(batch.images, sizes), maps)
        labels = class_numbers(model, batch)
        targets = [{"boxes": boxes, "labels": label} for boxes, label in zip(batch.boxes, labels, strict=True)]
        losses = model.compute_loss(targets, outputs, anchors)
        return {"score_loss": losses["classification"], "box_loss": losses["bbox_regression"]}

    def detect(self, network: nn.Module, images: Tensor, autocast: torch.autocast) -> list[Found]:
        """As torchvision joins overlapping boxes: by non-maximum suppression."""
        with autocast:
            outputs = network(list(images))
        names = np.array(cast(RetinaNetOfKinds, network).kinds)
        return [
            Found(
                output["boxes"].double().cpu().numpy(),
                output["scores"].double().cpu().numpy(),
                kinds=names[output["labels"].cpu().numpy()],
            )
            for output in outputs
        ]

    def decoded(self, network: nn.Module, recipe: RetinaNetRecipe, fitted: Fitted) -> nn.Module:
        """See ``RetinaNetExport``."""
        return RetinaNetExport(cast(RetinaNetOfKinds, network), recipe.input_size)


class PyramidBackbone(nn.Module):
    """A timm backbone's maps at strides 8, 16 and 32, joined by a feature pyramid with strides 64 and 128 on top."""

    def __init__(self, name: str, init: str | None, channels: int, input_size: int) -> None:
        super().__init__()
        self.body = make_levels(name, init, input_size, STRIDES[:3])
        self.pyramid = FeaturePyramidNetwork(
            list(level_channels(self.body)), channels, LastLevelP6P7(channels, channels)
        )
        self.out_channels = channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """``(N, 1, H, W)`` to five maps of ``out_channels`` channels."""
        maps = self.body(images)
        return cast(
            "dict[str, Tensor]",
            self.pyramid(OrderedDict((str(level), level_map) for level, level_map in enumerate(maps))),
        )


def class_numbers(network: RetinaNetOfKinds, batch: DetectorBatch) -> list[Tensor]:
    """``(M,) int64`` for each image: the place of each lesion's kind among those that the network tells apart."""
    place = {name: number for number, name in enumerate(network.kinds)}
    kinds = batch.kinds or [np.full(len(boxes), DEFAULT_KIND) for boxes in batch.boxes]
    return [
        torch.tensor([place[str(name)] for name in of_image], dtype=torch.int64, device=batch.images.device)
        for of_image in kinds
    ]


def make_retinanet(
    backbone: str,
    init: str | None,
    *,
    input_size: int,
    channels: int,
    anchor_base: float,
    anchor_ratios: tuple[float, ...],
    foreground_iou: float = 0.5,
    background_iou: float = 0.4,
    kinds: tuple[str, ...] = (DEFAULT_KIND,),
) -> RetinaNetOfKinds:
    """Build the detector; its attribute ``kinds`` names its classes.

    Parameters
    ----------
    input_size
        Side of the square input in pixels; images come normalised and of this size.
    channels
        Width of the feature pyramid and of the heads.
    anchor_base
        Side of the finest level's smallest anchors in input pixels; each level doubles it, with three sizes an octave.
    anchor_ratios
        Heights over widths of the anchors.
    kinds
        What it tells apart, one class each.
    """
    sizes = tuple(tuple(anchor_base * 2 ** (level + third / 3) for third in range(3)) for level in range(len(STRIDES)))
    anchors = AnchorGenerator(sizes, (anchor_ratios,) * len(STRIDES))
    return RetinaNetOfKinds(
        PyramidBackbone(backbone, init, channels, input_size),
        kinds=kinds,
        anchor_generator=anchors,
        head=RetinaNetHead(channels, anchors.num_anchors_per_location()[0], num_classes=len(kinds)),
        fg_iou_thresh=foreground_iou,
        bg_iou_thresh=background_iou,
        score_thresh=0.01,
        nms_thresh=0.3,
        detections_per_img=100,
        min_size=input_size,
        max_size=input_size,
        image_mean=[0.0],
        image_std=[1.0],
        _skip_resize=True,
    )


class RetinaNetOfKinds(RetinaNet):  # type: ignore[misc]  # torchvision states no types
    """torchvision's network with the names of its classes."""

    def __init__(self, backbone: nn.Module, *, kinds: tuple[str, ...], **settings: Any) -> None:
        super().__init__(backbone, num_classes=len(kinds), **settings)
        self.kinds = kinds


class RetinaNetExport(nn.Module):
    """The network as the bundle runs it: with its box decoding, before suppression of overlapping boxes.

    Input ``(1, 1, S, S)`` normalised; outputs ``boxes (A, 4)`` of (x0, y0, x1, y1) in input pixels and ``scores
    (A,)``; of several kinds ``(A, K)``.
    """

    anchors: Tensor

    def __init__(self, model: RetinaNetOfKinds, input_size: int) -> None:
        super().__init__()
        self.model = model
        self.clip = float(model.box_coder.bbox_xform_clip)
        self.size = float(input_size)
        self.classes = len(model.kinds)
        with torch.no_grad():
            image = torch.zeros(1, 1, input_size, input_size)
            features = list(model.backbone(image).values())
            anchors = model.anchor_generator(ImageList(image, [(input_size, input_size)]), features)[0]
        self.register_buffer("anchors", anchors)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        outputs = self.model.head(list(self.model.backbone(image).values()))
        logits = outputs["cls_logits"][0]
        scores = (logits[:, 0] if self.classes == 1 else logits).sigmoid()
        shift_x, shift_y, scale_w, scale_h = outputs["bbox_regression"][0].unbind(1)
        left, top, right, bottom = self.anchors.unbind(1)
        width, height = right - left, bottom - top
        centre_x = left + width / 2 + shift_x * width
        centre_y = top + height / 2 + shift_y * height
        half_w = width * scale_w.clamp(max=self.clip).exp() / 2
        half_h = height * scale_h.clamp(max=self.clip).exp() / 2
        boxes = torch.stack([centre_x - half_w, centre_y - half_h, centre_x + half_w, centre_y + half_h], dim=1)
        return boxes.clamp(0.0, self.size), scores
