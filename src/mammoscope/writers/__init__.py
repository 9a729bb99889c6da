"""Write results: JSON, DICOM, overlays, tables."""
