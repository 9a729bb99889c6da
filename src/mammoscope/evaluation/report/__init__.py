"""Reports of figures: files, tables and plots."""
