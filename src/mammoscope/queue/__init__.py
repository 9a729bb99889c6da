"""A queue of work done in the background: its states in SQLite, and the worker process."""
