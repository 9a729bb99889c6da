"""Datasets on disk: the lesion table, splits by patient, import of the published download, checks for leakage."""
