/** Which findings a detection threshold leaves, and what to say of them. */
import type { Analysis, ExamStatus, Finding } from "./api";

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

/** What of an exam is analysed. */
export interface Progress {
  /** Null: the exam has not ended. */
  analyses: readonly Analysis[] | null;
  /** Results of views so far. */
  done: number;
  /** Whether views have results before the exam has. */
  isByView: boolean;
  /** Titles of analysed views in which nothing is shown. */
  without: readonly string[];
}

/** The outcome of the whole exam as a sentence, or of what is done of it. */
export function examOutcome(
  status: ExamStatus | null,
  { analyses, done, isByView, without }: Progress,
  count: number,
  threshold: number,
): string {
  if (!status) return "No exam is open.";
  if (status.state === "failed" || analyses?.length === 0) return "No file could be analysed.";
  const found = `${count === 0 ? "no finding" : `${count} ${count === 1 ? "finding" : "findings"}`} at or above the threshold of ${threshold.toFixed(2)}`;
  if (!analyses) {
    if (!isByView)
      return "The analysis is under way. These models look at all views together: findings show when all are done.";
    if (done === 0) return "The analysis is under way.";
    const views = status.files.filter(({ state }) => state !== "failed").length;
    return `${done} of ${views} ${views === 1 ? "view" : "views"} analysed: ${found} so far.`;
  }
  if (analyses.every(({ outcome }) => outcome === "no_breast_found")) return "No breast found; nothing was analysed.";
  const none = count > 0 && without.length > 0 ? ` None in ${without.join(", ")}.` : "";
  return `${found[0]!.toUpperCase()}${found.slice(1)}.${none}`;
}
