/** What "Save JSON" writes, the reader's record beside the analyses it is about, and how it comes back. */
import type { Analysis, Finding, Point, ReadingRecord } from "./api";
import type { Reading } from "./reading";

const FORMAT = "mammoscope-reading";
const VERSION = "1.0";

export interface ReadingFile {
  format: typeof FORMAT;
  version: typeof VERSION;
  notice: string;
  exam: string;
  saved: string;
  /** Files by number, as `verdicts` and `drawn` name them, and the place of each in `analyses`. */
  files: { number: number; name: string; analysis: number | null; error: string | null }[];
  /** Findings are numbered from 0, as they stand in their analysis; outlines are in pixels of the original. */
  record: ReadingRecord;
  analyses: readonly Analysis[];
}

export function readingFile(reading: Reading, now: Date): ReadingFile {
  return {
    format: FORMAT,
    version: VERSION,
    notice: reading.health?.notice ?? "Research use only. Not for diagnostic use.",
    exam: reading.status?.id ?? "",
    saved: now.toISOString(),
    files: reading.files.map(({ number, name, result, error }) => ({ number, name, analysis: result, error })),
    record: reading.record,
    analyses: reading.analyses ?? [],
  };
}

/** A saved reading that does not fit: the message says why. */
export class UnfitReading extends Error {}

/** Throws UnfitReading for anything but what "Save JSON" wrote. */
export function parseReadingFile(text: string): ReadingFile {
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    throw new UnfitReading("it is not JSON");
  }
  const file = said as Partial<ReadingFile> | null;
  if (file?.format !== FORMAT) throw new UnfitReading("it is not a reading that this page saved");
  if (file.version !== VERSION) throw new UnfitReading(`it is of version ${String(file.version)}, expected ${VERSION}`);
  if (!isReading(file)) throw new UnfitReading("it is damaged");
  return file as ReadingFile;
}

function isReading({ files, record, analyses }: Partial<ReadingFile>): boolean {
  const isNumber = (value: unknown) => typeof value === "number" && Number.isFinite(value);
  const isPoint = (point: unknown) => Array.isArray(point) && point.length === 2 && point.every(isNumber);
  return (
    Array.isArray(files) &&
    files.every((file) => isNumber(file?.number) && (file.analysis === null || isNumber(file.analysis))) &&
    Array.isArray(analyses) &&
    analyses.every(
      (analysis: Partial<Analysis> | null) =>
        typeof analysis?.input?.sha256 === "string" &&
        Array.isArray(analysis.findings) &&
        analysis.findings.every(({ box }: Partial<Finding>) => isNumber(box?.x0)),
    ) &&
    isNumber(record?.threshold) &&
    typeof record!.impression === "string" &&
    Array.isArray(record!.verdicts) &&
    record!.verdicts.every(({ verdict }) => verdict === "accepted" || verdict === "rejected") &&
    Array.isArray(record!.drawn) &&
    record!.drawn.every(({ outline }) => Array.isArray(outline) && outline.length > 2 && outline.every(isPoint)) &&
    // Assessments and measurements are missing in what earlier versions saved.
    (record!.assessments === undefined ||
      (Array.isArray(record!.assessments) && record!.assessments.every(({ of }) => typeof of === "string"))) &&
    (record!.lengths === undefined ||
      (Array.isArray(record!.lengths) &&
        record!.lengths.every(({ ends }) => Array.isArray(ends) && ends.length === 2 && ends.every(isPoint))))
  );
}

/** It is saved by who opens it, who also has to say that the images are of one woman. */
export interface Restored extends Omit<ReadingRecord, "reader" | "one_woman"> {
  /** Verdicts on findings that the exam's models do not make. */
  orphans: number;
  /** Files of the saved reading, and how many of them the exam holds. */
  files: number;
  matched: number;
}

/**
 * A saved record in the numbers of the exam that is open: files are known by their hash, findings by their box.
 * Throws UnfitReading where the exam holds none of its files.
 */
export function restored(saved: ReadingFile, reading: Reading): Restored {
  const here = new Map<string, { number: number; findings: readonly Finding[] }>();
  for (const { number } of reading.files) {
    const analysis = reading.analysis(number);
    if (analysis) here.set(analysis.input.sha256, { number, findings: analysis.findings });
  }
  const matches = new Map(
    saved.files.flatMap(({ number, analysis }) => {
      const was = analysis === null ? undefined : saved.analyses[analysis];
      const now = was && here.get(was.input.sha256);
      return was && now ? [[number, { was, now }] as const] : [];
    }),
  );
  if (matches.size === 0) throw new UnfitReading("it belongs to none of the files that are open");
  const { record } = saved;
  const known = record.verdicts.filter(({ file }) => matches.has(file));
  const verdicts = known.flatMap(({ file, finding, ...judged }) => {
    const { was, now } = matches.get(file)!;
    const place = samePlace(was.findings[finding], now.findings);
    return place < 0 ? [] : [{ file: now.number, finding: place, ...judged }];
  });
  const drawn = record.drawn.flatMap(({ file, outline }) => {
    const match = matches.get(file);
    return match ? [{ file: match.now.number, outline: outline.map(([x, y]): Point => [x, y]) }] : [];
  });
  const lengths = (record.lengths ?? []).flatMap(({ file, ends }) => {
    const match = matches.get(file);
    return match ? [{ file: match.now.number, ends }] : [];
  });
  return {
    threshold: record.threshold,
    impression: record.impression,
    verdicts,
    drawn,
    lengths,
    assessments: record.assessments ?? [],
    orphans: known.length - verdicts.length,
    files: saved.files.filter(({ analysis }) => analysis !== null).length,
    matched: matches.size,
  };
}

const SLACK = 1; // original pixels

function samePlace(finding: Finding | undefined, among: readonly Finding[]): number {
  if (!finding) return -1;
  const sides = ["x0", "y0", "x1", "y1"] as const;
  return among.findIndex(({ box }) => sides.every((side) => Math.abs(box[side] - finding.box[side]) <= SLACK));
}

/** What came back, in one line. */
export function restoredWords({
  verdicts,
  drawn,
  lengths,
  assessments,
  impression,
  orphans,
  files,
  matched,
}: Restored): string {
  const parts = [
    counted(verdicts.length, "verdict"),
    counted(drawn.length, "drawn finding"),
    ...(lengths?.length ? [counted(lengths.length, "measurement")] : []),
    ...(assessments.length ? [counted(assessments.length, "assessment")] : []),
    impression.trim() ? "the impression" : "no impression",
  ];
  const left = orphans ? ` Left out: ${counted(orphans, "verdict")} on findings that these models do not make.` : "";
  const missing = matched < files ? ` Not open: ${files - matched} of its ${files} files.` : "";
  return `Opened: ${parts.join(", ")}.${left}${missing}`;
}

const counted = (count: number, thing: string) => `${count} ${thing}${count === 1 ? "" : "s"}`;
