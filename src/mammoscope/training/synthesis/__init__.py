"""Masses that a trained generator paints into healthy tissue, as training samples."""
