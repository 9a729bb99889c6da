"""Child processes, messages to them, and the number of cores: the lowest layer, which knows nothing of images."""
