"""From published downloads to the dataset layout; one file or folder for each dataset."""
