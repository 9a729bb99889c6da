"""Processes of our own, what is said to them, and how many cores there are: the ground floor, which knows no image."""
