"""CBIS-DDSM."""
