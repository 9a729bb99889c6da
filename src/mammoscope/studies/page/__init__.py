"""The results of a study as a page, a CSV and Markdown."""
