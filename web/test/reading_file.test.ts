import { describe, expect, it } from "vitest";
import type { Analysis, ExamFile, ExamStatus, Finding } from "../src/model/api";
import { Reading } from "../src/model/reading";
import { parseReadingFile, readingFile, restored, restoredWords } from "../src/model/reading_file";

const finding = (x0: number): Finding => ({
  kind: "mass",
  box: { x0, y0: 0, x1: x0 + 50, y1: 60 },
  outline: [],
  detection_score: 0.9,
  malignancy_score: 0.5,
  malignancy: "benign",
  size: { area_mm2: null, longest_diameter_mm: null, unknown_because: "no spacing" },
  features: {},
  lesion: null,
});

const analysis = (sha256: string, ...places: number[]) =>
  ({ input: { sha256 }, findings: places.map(finding) }) as unknown as Analysis;

/** An open exam; "" is a file that failed. */
function open(...analyses: (Analysis | "")[]): Reading {
  const reading = new Reading();
  const done = analyses.filter((one) => one !== "");
  const files = analyses.map(
    (one, number) =>
      ({
        number,
        name: `${number}.dcm`,
        error: null,
        view: null,
        result: one === "" ? null : done.indexOf(one),
      }) as unknown as ExamFile,
  );
  reading.open({
    id: "1",
    created: "",
    state: "done",
    progress: 1,
    files,
    is_vouched: false,
    warnings: [],
  } satisfies ExamStatus);
  reading.analyses = done;
  return reading;
}

const saved = (reading: Reading) => JSON.parse(JSON.stringify(readingFile(reading, new Date(0))));

function judged(): Reading {
  const reading = open("", analysis("a", 100, 200), analysis("b", 300));
  reading.setThreshold(0.25);
  reading.judge([{ file: 1, finding: 1 }], "rejected");
  reading.explain([{ file: 1, finding: 1 }], "lymph node");
  reading.judge([{ file: 2, finding: 0 }], "accepted");
  reading.assess("left", { birads: "4A" });
  reading.assess("left", { density: "C" });
  reading.assess("right", { birads: "1" });
  reading.assess("right", { birads: null }); // taken back
  reading.addDrawn(2, [
    [1, 2],
    [3, 4],
    [5, 6.5],
  ]);
  reading.write("One mass.");
  return reading;
}

describe("a saved reading", () => {
  it("comes back as it was", () => {
    const [before, after] = [judged(), open("", analysis("a", 100, 200), analysis("b", 300))];
    const record = restored(parseReadingFile(JSON.stringify(saved(before))), after);
    after.restore(record);
    expect(after.record).toEqual(before.record);
    expect(after.record.assessments).toEqual([{ of: "left", birads: "4A", density: "C" }]);
    expect(after.isUnsaved).toBe(true); // until the server has it
    expect(restoredWords(record)).toBe("Opened: 2 verdicts, 1 drawn finding, 1 assessment, the impression.");
  });

  it("finds its files under other numbers, and its findings by their boxes", () => {
    const after = open(analysis("b", 10, 300.4), analysis("c"), analysis("a", 200, 100));
    after.restore(restored(saved(judged()), after));
    expect(after.record.verdicts).toEqual([
      { file: 0, finding: 1, verdict: "accepted", reason: "" },
      { file: 2, finding: 0, verdict: "rejected", reason: "lymph node" },
    ]);
    expect(after.record.drawn.map(({ file }) => file)).toEqual([0]);
  });

  it("says what is not there any more", () => {
    const record = restored(saved(judged()), open(analysis("b", 500)));
    expect(restoredWords(record)).toBe(
      "Opened: 0 verdicts, 1 drawn finding, 1 assessment, the impression. Left out: 1 verdict on findings that these models do not make. Not open: 1 of its 2 files.",
    );
  });

  it("is refused beside other files, and leaves what is there", () => {
    const other = open(analysis("c", 100));
    other.write("Mine.");
    expect(() => restored(saved(judged()), other)).toThrow("it belongs to none of the files that are open");
    expect(other.impression).toBe("Mine.");
  });
});

it.each([
  ["", "it is not JSON"],
  ["null", "it is not a reading that this page saved"],
  ['{"schema_version": "1.0", "findings": []}', "it is not a reading that this page saved"],
  [JSON.stringify({ ...saved(judged()), version: "2.0" }), "it is of version 2.0, expected 1.0"],
  [JSON.stringify({ ...saved(judged()), record: {} }), "it is damaged"],
  [JSON.stringify({ ...saved(judged()), files: [null] }), "it is damaged"],
  [JSON.stringify({ ...saved(judged()), analyses: [{ input: null }] }), "it is damaged"],
])("refuses %.40s", (text, why) => expect(() => parseReadingFile(text)).toThrow(why));
