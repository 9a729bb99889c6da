/**
 * A malignancy score as a reader is told it: a percentage, and its side of the operating point in words. The server's
 * `writers/malignancy.py` says it likewise. A class and a score side by side, "benign 0.46", were read as 46% benign.
 */

const MOST_DIGITS = 12;
const ENDS: Readonly<Record<string, string>> = { "0%": "<1%", "100%": ">99%" };

/** "malignancy 46%", with as many digits as tell it from the operating point; "malignancy not graded". */
export const malignancyWords = (score: number | null, point: number) => `malignancy ${malignancyPercent(score, point)}`;

/** "46%", likewise. A probability that was fitted to some hundred lesions is never certain: "<1%" and ">99%" are the ends. */
export function malignancyPercent(score: number | null, point: number): string {
  if (score === null) return "not graded";
  const text = percent(score, digits(score, point));
  return ENDS[text] ?? text;
}

/** "above the operating point of 40%", "below …", or "at …", which counts as malignant, too; empty without a score. */
export function operatingPointWords(score: number | null, point: number): string {
  if (score === null) return "";
  const side = score === point ? "at" : score > point ? "above" : "below";
  return `${side} the operating point of ${operatingPointPercent(point, [score])}`;
}

/** "40%", with as many digits as tell it from each of the scores, which are shown likewise. */
export const operatingPointPercent = (point: number, scores: readonly number[] = []) =>
  percent(point, Math.max(0, ...scores.map((score) => digits(score, point))));

/** Digits of a percentage that tell both apart: 0.418 and 0.423 are 42%. */
function digits(score: number, point: number): number {
  if (score === point) return 0;
  let count = 0;
  while (count < MOST_DIGITS && percent(score, count) === percent(point, count)) count++;
  return count;
}

const percent = (share: number, count: number) => `${(100 * share).toFixed(count)}%`;
