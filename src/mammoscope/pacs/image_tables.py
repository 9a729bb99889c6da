"""The tables of the queue."""

from __future__ import annotations

from mammoscope.queue.database import Schema

TABLES = """
CREATE TABLE images (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    sop_instance TEXT NOT NULL UNIQUE,
    sop_class TEXT NOT NULL,
    study TEXT,
    series TEXT,
    digest TEXT,
    state TEXT NOT NULL,
    next_state TEXT,
    failures INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL,
    problem TEXT
);
CREATE INDEX images_by_state ON images (state, due, position);
CREATE TABLE results (sop_instance TEXT PRIMARY KEY);
CREATE TABLE presentations (mark TEXT PRIMARY KEY);
CREATE TABLE studies (study TEXT PRIMARY KEY, instances INTEGER NOT NULL);
CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
SCHEMA = Schema(1, TABLES)
PRAGMAS = ("synchronous = FULL",)  # accepted images must survive a power cut
PATIENCE_SECONDS = 30.0
