"""Work in the background, kept in SQLite."""
