"""Measure a bundle on a dataset: figures with intervals, plots, and one row for each case."""
