"""Child processes, what is said to them, and how many cores there are."""
