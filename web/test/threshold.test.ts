import { expect, it } from "vitest";
import type { Analysis, ExamStatus, Finding } from "../src/model/api";
import { kindOf } from "../src/model/kinds";
import { examOutcome, outcome, shownFindings, sizeWords } from "../src/model/threshold";

const finding = (detection_score: number, longest: number | null = 12.34): Finding => ({
  kind: "calcification",
  box: { x0: 0, y0: 0, x1: 1, y1: 1 },
  outline: [],
  detection_score,
  malignancy_score: 0.5,
  malignancy: "benign",
  size: { area_mm2: longest && 99.6, longest_diameter_mm: longest, unknown_because: longest ? null : "no spacing" },
  lesion: null,
});

const kind = kindOf(null, finding(1));

const analysis = (scores: number[], said: Analysis["outcome"] = scores.length ? "findings" : "no_finding"): Analysis => ({
  schema_version: "1.2",
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
  bundle: { name: "", version: "", sha256: "" },
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

it("says what became of an exam", () => {
  const status = (state: ExamStatus["state"]): ExamStatus => ({ id: "", created: "", state, progress: 1, files: [], is_vouched: false, warnings: [] });
  expect(examOutcome(null, null, 0, 0.3)).toBe("No exam is open.");
  expect(examOutcome(status("running"), null, 0, 0.3)).toBe("The analysis is under way.");
  expect(examOutcome(status("failed"), [], 0, 0.3)).toBe("No file could be analysed.");
  expect(examOutcome(status("done"), [analysis([0.2])], 0, 0.3)).toBe("No finding at or above the threshold of 0.30.");
  expect(examOutcome(status("done"), [analysis([], "no_breast_found")], 0, 0.3)).toBe("No breast found; nothing was analysed.");
  expect(examOutcome(status("done"), [analysis([0.9])], 1, 0.3)).toBe("1 finding at or above the threshold of 0.30.");
});

it("gives sizes in mm, or why there is none", () => {
  expect(sizeWords(finding(1), kind)).toBe("12.3 mm longest, 100 mm²");
  expect(sizeWords(finding(1, null), kind)).toBe("size not known: no spacing");
  expect(sizeWords(finding(1), { ...kind, longest: "extent" })).toBe("12.3 mm extent, 100 mm²");
});
