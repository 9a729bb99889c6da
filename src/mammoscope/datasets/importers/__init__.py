"""One file or folder a dataset: from the published download to the dataset layout."""
