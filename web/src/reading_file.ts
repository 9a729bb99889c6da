/** What "Save JSON" writes: the reader's record beside the analyses it is about. */
import type { Analysis, ReadingRecord } from "./api";
import type { Reading } from "./reading";

export interface ReadingFile {
  format: "mammoscope-reading";
  version: "1.0";
  notice: string;
  exam: string;
  saved: string;
  /** Files by number, as `verdicts` and `drawn` name them, and the place of each in `analyses`. */
  files: { number: number; name: string; analysis: number | null; error: string | null }[];
  /** Findings are numbered from 0, as they stand in their analysis; outlines are in pixels of the original. */
  record: ReadingRecord;
  analyses: Analysis[];
}

export function readingFile(reading: Reading, now: Date): ReadingFile {
  return {
    format: "mammoscope-reading",
    version: "1.0",
    notice: reading.health?.notice ?? "Research use only. Not for diagnostic use.",
    exam: reading.status?.id ?? "",
    saved: now.toISOString(),
    files: reading.files.map(({ number, name, result, error }) => ({ number, name, analysis: result, error })),
    record: reading.record,
    analyses: reading.analyses ?? [],
  };
}
