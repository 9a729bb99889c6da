"""Studies: many networks trained, measured and compared on the same patients."""
