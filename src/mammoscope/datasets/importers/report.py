"""What an import did and what it left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class SplitCounts:
    """What one split holds after an import; ``normals`` are its images without a lesion."""

    images: int
    normals: int
    lesions: int


@dataclass(frozen=True)
class ImportReport:
    """What an import did and what it left out.

    Attributes
    ----------
    splits
        By the name of their folder; the name is empty if the collection has no splits.
    reused
        Lesions, and images without one, that an earlier run had finished.
    skipped
        Lesions, and images without one, that are missing from the datasets, each with the reason.
    resized_masks
        Lesions whose mask had another size than the image, each with both sizes.
    merged_images
        Image files that held the same pixels as another of the same name, and became one image with it.
    same_pixels
        Pairs of images with the same pixels under different names, patients or splits: kept as they are.
    remarks
        What the importer noticed itself, by a word each: lesions or patients.
    counted
        Words of remarks that are written as a count; what was counted is written under WORD_lesions.
    """

    splits: Mapping[str, SplitCounts]
    reused: int
    skipped: tuple[tuple[str, str], ...]
    resized_masks: tuple[tuple[str, str], ...]
    merged_images: int
    same_pixels: tuple[tuple[str, str], ...]
    remarks: Mapping[str, tuple[str, ...]]
    counted: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Flat, with the counts of each split first: ``train_lesions``."""
        counts = {
            f"{split}_{name}".removeprefix("_"): getattr(counts, name)
            for name in ("lesions", "images", "normals")
            for split, counts in self.splits.items()
        }
        return {
            **counts,
            "reused": self.reused,
            "skipped": self.skipped,
            "resized_masks": self.resized_masks,
            "merged_images": self.merged_images,
            "same_pixels": self.same_pixels,
            **{word: len(self.remarks.get(word, ())) for word in self.counted},
            **{f"{word}_lesions" if word in self.counted else word: names for word, names in self.remarks.items()},
        }
