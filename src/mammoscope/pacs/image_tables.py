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
_NOW = "(julianday('now') - 2440587.5) * 86400.0"  # seconds since 1970
# When an image came, and when it came into its state; and what is remembered of images whose rows were removed.
_AGES = f"""
CREATE TABLE IF NOT EXISTS moments (position INTEGER PRIMARY KEY, arrived REAL NOT NULL, changed REAL NOT NULL);
CREATE TABLE IF NOT EXISTS set_aside (study TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS forgotten (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS image_arrived AFTER INSERT ON images BEGIN
    INSERT OR IGNORE INTO moments VALUES (new.position, {_NOW}, {_NOW});
END;
CREATE TRIGGER IF NOT EXISTS image_changed AFTER UPDATE OF state ON images WHEN old.state IS NOT new.state BEGIN
    UPDATE moments SET changed = {_NOW}, arrived = iif(old.state IN ('sent', 'skipped', 'dead'), {_NOW}, arrived)
    WHERE position = new.position;
END;
CREATE TRIGGER IF NOT EXISTS image_removed AFTER DELETE ON images BEGIN
    DELETE FROM moments WHERE position = old.position;
END;
INSERT OR IGNORE INTO moments SELECT position, {_NOW}, {_NOW} FROM images;
"""  # noqa: S608
# Images that go before others, until they are done.
_URGENT = """
CREATE TABLE IF NOT EXISTS urgent (position INTEGER PRIMARY KEY);
CREATE TRIGGER IF NOT EXISTS urgent_done AFTER UPDATE OF state ON images WHEN new.state IN ('sent', 'skipped') BEGIN
    DELETE FROM urgent WHERE position = new.position;
END;
CREATE TRIGGER IF NOT EXISTS urgent_removed AFTER DELETE ON images BEGIN
    DELETE FROM urgent WHERE position = old.position;
END;
"""
# Structured reports that were made: on which image (one on an exam has a row for each of its images), with the results
# of which image, in which version, it is sent, and what there is to know of it, in JSON.
_REPORTS = """
CREATE TABLE IF NOT EXISTS reports (
    image TEXT NOT NULL,
    report TEXT NOT NULL,
    sent_with TEXT NOT NULL,
    digest TEXT,
    is_sent INTEGER NOT NULL DEFAULT 0,
    value TEXT NOT NULL,
    PRIMARY KEY (image, report)
);
CREATE INDEX IF NOT EXISTS reports_by_name ON reports (report);
CREATE INDEX IF NOT EXISTS reports_by_image ON reports (sent_with);
CREATE TRIGGER IF NOT EXISTS report_sent AFTER UPDATE OF state ON images WHEN new.state = 'sent' BEGIN
    UPDATE reports SET is_sent = 1 WHERE sent_with = new.sop_instance AND digest IS new.digest;
END;
"""
SCHEMA = Schema(1, TABLES, additions={"moments": _AGES, "urgent": _URGENT, "reports": _REPORTS})
PRAGMAS = ("synchronous = FULL",)  # accepted images must survive a power cut
PATIENCE_SECONDS = 30.0
