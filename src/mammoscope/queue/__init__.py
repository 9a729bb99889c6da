"""Work that waits and is done in the background: its states in SQLite, and the process that does it."""
