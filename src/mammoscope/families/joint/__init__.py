"""Joint networks: boxes, outlines and malignancy at once. None is built in yet."""
