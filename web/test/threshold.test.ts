import { describe, expect, it } from "vitest";
import type { Analysis, ExamFile, ExamStatus, Finding } from "../src/model/api";
import { kindOf } from "../src/model/kinds";
import { sizeWords } from "../src/model/findings_table";
import { examOutcome, outcome, shownFindings } from "../src/model/threshold";

const finding = (detection_score: number, longest: number | null = 12.34): Finding => ({
  kind: "calcification",
  box: { x0: 0, y0: 0, x1: 1, y1: 1 },
  outline: [],
  detection_score,
  malignancy_score: 0.5,
  malignancy: "benign",
  size: { area_mm2: longest && 99.6, longest_diameter_mm: longest, unknown_because: longest ? null : "no spacing" },
  features: {},
  lesion: null,
});

const kind = kindOf(null, finding(1));

const analysis = (
  scores: number[],
  said: Analysis["outcome"] = scores.length ? "findings" : "no_finding",
): Analysis => ({
  schema_version: "1.3",
  notice: "",
  software: "",
  outcome: said,
  statement: "",
  input: {
    name: "",
    sha256: "",
    file_format: "",
    rows: 1,
    columns: 1,
    bits: 8,
    laterality: null,
    view: null,
    spacing: null,
    pixel_aspect: 1,
    sop_instance_uid: null,
    modality: null,
    manufacturer: null,
  },
  bundle: { name: "", version: "", sha256: "", kinds: ["calcification"] },
  thresholds: { detection: 0.03, malignancy: 0.5 },
  findings: scores.map((score) => finding(score)),
  warnings: [],
  seconds: {},
});

it("shows nothing before there is an analysis", () => expect(shownFindings(null, 0)).toEqual([]));

it("keeps a finding's number whatever the threshold", () => {
  expect(shownFindings(analysis([0.9, 0.5, 0.7]), 0.6).map(({ index }) => index)).toEqual([0, 2]);
});

it("shows a finding at the threshold itself", () => expect(shownFindings(analysis([0.34]), 0.34)).toHaveLength(1));

it.each([
  [[], "No finding at or above the threshold of 0.30."],
  [[0.2], "No finding at or above the threshold of 0.30."],
  [[0.4], "1 finding at or above 0.30."],
  [[0.4, 0.3], "2 findings at or above 0.30."],
])("says what became of scores %j", (scores, said) => expect(outcome(analysis(scores), 0.3)).toBe(said));

it("says that there is no breast", () => {
  expect(outcome(analysis([], "no_breast_found"), 0.3)).toBe("No breast found; nothing was analysed.");
});

describe("what became of an exam", () => {
  const file = (state: ExamFile["state"]): ExamFile => ({
    number: 0,
    name: "",
    state,
    progress: 1,
    error: null,
    result: null,
    view: null,
  });
  const status = (state: ExamStatus["state"], files = [file("done")]): ExamStatus => ({
    id: "",
    created: "",
    state,
    progress: 1,
    files,
    is_vouched: false,
    warnings: [],
  });
  const ended = (...analyses: Analysis[]) => ({ analyses, done: 0, isByView: true, without: [] });
  const under = (done: number, isByView = true) => ({ analyses: null, done, isByView, without: [] });

  it.each<[ExamStatus | null, Parameters<typeof examOutcome>[1], number, string]>([
    [null, under(0), 0, "No exam is open."],
    [status("running"), under(0), 0, "The analysis is under way."],
    [status("failed"), ended(), 0, "No file could be analysed."],
    [status("done"), ended(analysis([0.2])), 0, "No finding at or above the threshold of 0.30."],
    [status("done"), ended(analysis([], "no_breast_found")), 0, "No breast found; nothing was analysed."],
    [status("done"), ended(analysis([0.9])), 1, "1 finding at or above the threshold of 0.30."],
    [
      status("done"),
      { ...ended(analysis([0.9])), without: ["R CC", "L CC"] },
      1,
      "1 finding at or above the threshold of 0.30. None in R CC, L CC.",
    ],
    [
      status("running", [file("done"), file("analysing"), file("failed")]),
      under(1),
      0,
      "1 of 2 views analysed: no finding at or above the threshold of 0.30 so far.",
    ],
    [
      status("running", [file("done"), file("queued")]),
      under(1),
      3,
      "1 of 2 views analysed: 3 findings at or above the threshold of 0.30 so far.",
    ],
    [
      status("running", [file("analysing"), file("analysing")]),
      under(0, false),
      0,
      "The analysis is under way. These models look at all views together: findings show when all are done.",
    ],
  ])("%#", (given, progress, count, said) => expect(examOutcome(given, progress, count, 0.3)).toBe(said));
});

it("gives sizes in mm, or why there is none", () => {
  expect(sizeWords(finding(1), kind)).toBe("12.3 mm longest, 100 mm²");
  expect(sizeWords(finding(1, null), kind)).toBe("size not known: no spacing");
  expect(sizeWords(finding(1, null), kind, { value: 181.7, unit: "px" })).toBe(
    "182 px longest; size in mm not known: no spacing",
  );
  expect(sizeWords(finding(1), { ...kind, longest: "extent" })).toBe("12.3 mm extent, 100 mm²");
});
