"""torchvision's RetinaNet (Lin et al. 2017, "Focal Loss for Dense Object Detection") on any timm backbone."""

from __future__ import annotations

from collections import OrderedDict
from typing import cast

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNet, RetinaNetHead
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from mammoscope.families.backbone import make_backbone

STRIDES = (8, 16, 32, 64, 128)


class PyramidBackbone(nn.Module):
    """A timm backbone's maps at strides 8, 16 and 32, joined by a feature pyramid with strides 64 and 128 on top."""

    def __init__(self, name: str, init: str | None, channels: int) -> None:
        super().__init__()
        self.body = make_backbone(name, init, features_only=True, out_indices=(2, 3, 4))
        info = cast("list[int]", self.body.feature_info.channels())  # type: ignore[operator, union-attr]
        self.pyramid = FeaturePyramidNetwork(info, channels, LastLevelP6P7(channels, channels))
        self.out_channels = channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """``(N, 1, H, W)`` to five maps of ``out_channels`` channels."""
        maps = self.body(images)
        return cast(
            "dict[str, Tensor]",
            self.pyramid(OrderedDict((str(level), level_map) for level, level_map in enumerate(maps))),
        )


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
) -> RetinaNet:
    """Build the detector.

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
    """
    sizes = tuple(tuple(anchor_base * 2 ** (level + third / 3) for third in range(3)) for level in range(len(STRIDES)))
    anchors = AnchorGenerator(sizes, (anchor_ratios,) * len(STRIDES))
    return RetinaNet(
        PyramidBackbone(backbone, init, channels),
        num_classes=1,
        anchor_generator=anchors,
        head=RetinaNetHead(channels, anchors.num_anchors_per_location()[0], num_classes=1),
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


class RetinaNetExport(nn.Module):
    """What the bundle runs: the network with its box decoding, before suppression of overlapping boxes.

    Input ``(1, 1, S, S)`` normalised; outputs ``boxes (A, 4)`` of (x0, y0, x1, y1) in input pixels and ``scores (A,)``.
    """

    anchors: Tensor

    def __init__(self, model: RetinaNet, input_size: int) -> None:
        super().__init__()
        self.model = model
        self.clip = float(model.box_coder.bbox_xform_clip)
        self.size = float(input_size)
        with torch.no_grad():
            image = torch.zeros(1, 1, input_size, input_size)
            features = list(model.backbone(image).values())
            anchors = model.anchor_generator(ImageList(image, [(input_size, input_size)]), features)[0]
        self.register_buffer("anchors", anchors)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        outputs = self.model.head(list(self.model.backbone(image).values()))
        scores = outputs["cls_logits"][0, :, 0].sigmoid()
        shift_x, shift_y, scale_w, scale_h = outputs["bbox_regression"][0].unbind(1)
        left, top, right, bottom = self.anchors.unbind(1)
        width, height = right - left, bottom - top
        centre_x = left + width / 2 + shift_x * width
        centre_y = top + height / 2 + shift_y * height
        half_w = width * scale_w.clamp(max=self.clip).exp() / 2
        half_h = height * scale_h.clamp(max=self.clip).exp() / 2
        boxes = torch.stack([centre_x - half_w, centre_y - half_h, centre_x + half_w, centre_y + half_h], dim=1)
        return boxes.clamp(0.0, self.size), scores
