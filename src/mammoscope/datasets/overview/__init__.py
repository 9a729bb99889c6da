"""Count and draw what is in a dataset."""
