"""The filters of the pipeline, one module each, and the protocols that a replacement has to meet."""
