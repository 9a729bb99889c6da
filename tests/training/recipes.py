"""Recipes small enough for a test: seconds on one core, the real code all the same."""

from __future__ import annotations

from pathlib import Path

_LOOP = """
[loop]
epochs = {epochs}
batch_size = 4
learning_rate = 1e-3
warmup_epochs = 0.5
precision = "float32"
checkpoint_seconds = 0
average_decay = 0.9
loader_threads = 1

[split]
folds = 4
"""

_AUGMENTATION = """
[augmentation]
rotation_degrees = 10
shift = 0.05
zoom = 0.1
flip_horizontal = 0.5
flip_vertical = 0.5
brightness = 0.1
contrast = 0.1
gamma = 0.1
blur = 0.5
erase = 0.5
"""

_HEADS = {
    "detector": 'backbone = "test_efficientnet"\ninput_size = 128\npyramid_channels = 32\nbox_loss = "giou"\n',
    "reducer": 'backbone = "test_efficientnet"\ninput_size = 32\nregions_per_film = 4\ndropout = 0.2\n',
    "segmenter": "input_size = 64\nfilters = [16, 16, 32, 32, 32]\nembedding = 32\nlayers = 2\nheads = 2\n",
    "classifier": 'backbone = "test_efficientnet"\ninput_size = 64\nlayers = [32, 16, 8]\nauxiliary_weight = 0.3\n',
}
_TAILS = {
    "classifier": "\n[joined]\nepochs = 1\nlearning_rate = 1e-3\n\n[tuned]\nepochs = 1\nlearning_rate = 1e-4\n",
}


def write_recipe(folder: Path, task: str, epochs: int = 2) -> Path:
    """Write a small recipe for a task."""
    path = folder / f"{task}.toml"
    text = _HEADS[task] + _AUGMENTATION + _LOOP.format(epochs=epochs) + _TAILS.get(task, "")
    path.write_text(text, encoding="utf-8")
    return path
