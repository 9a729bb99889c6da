"""Run one job over many items."""
