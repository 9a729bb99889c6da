"""Read PNG, JPEG, TIFF and PGM files."""
