"""The synthetic example exam."""
