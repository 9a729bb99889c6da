/** Which findings a detection threshold leaves, and what to say of them. */
import type { Analysis, ExamStatus, Finding, FindingKind } from "./api";

export interface Shown {
  /** Its place in the analysis, from 0; readers see it from 1, whatever the threshold. */
  index: number;
  finding: Finding;
}

export function shownFindings(analysis: Analysis | null, threshold: number): Shown[] {
  if (!analysis) return [];
  return analysis.findings
    .map((finding, index) => ({ index, finding }))
    .filter(({ finding }) => finding.detection_score >= threshold);
}

/** The outcome of one view as a sentence. */
export function outcome(analysis: Analysis, threshold: number): string {
  if (analysis.outcome === "no_breast_found") return "No breast found; nothing was analysed.";
  const count = shownFindings(analysis, threshold).length;
  if (count === 0) return `No finding at or above the threshold of ${threshold.toFixed(2)}.`;
  return `${count} ${count === 1 ? "finding" : "findings"} at or above ${threshold.toFixed(2)}.`;
}

export function sizeWords(finding: Finding, kind: FindingKind): string {
  const { longest_diameter_mm: longest, area_mm2: area, unknown_because: reason } = finding.size;
  const known = [longest === null ? "" : `${longest.toFixed(1)} mm ${kind.longest}`, area === null ? "" : `${area.toFixed(0)} mm²`];
  return known.filter(Boolean).join(", ") || `size not known${reason ? `: ${reason}` : ""}`;
}

/** The outcome of the whole exam as a sentence. */
export function examOutcome(
  status: ExamStatus | null,
  analyses: readonly Analysis[] | null,
  count: number,
  threshold: number,
): string {
  if (!status) return "No exam is open.";
  if (status.state === "failed" || analyses?.length === 0) return "No file could be analysed.";
  if (!analyses) return "The analysis is under way.";
  if (analyses.every(({ outcome }) => outcome === "no_breast_found")) return "No breast found; nothing was analysed.";
  if (count === 0) return `No finding at or above the threshold of ${threshold.toFixed(2)}.`;
  return `${count} ${count === 1 ? "finding" : "findings"} at or above the threshold of ${threshold.toFixed(2)}.`;
}
