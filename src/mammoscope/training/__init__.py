"""Train each stage from a dataset folder and a typed recipe."""
