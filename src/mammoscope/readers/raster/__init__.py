"""Read PNG, JPEG and TIFF files."""
