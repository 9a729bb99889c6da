"""Read DICOM files."""
