import { describe, expect, it } from "vitest";
import type { Analysis, ExamFile, ExamStatus, Health } from "../src/model/api";
import { Reading } from "../src/model/reading";

/** Detection score and lesion of the findings of each file. */
function open(...found: [number, string | null][][]): Reading {
  const reading = new Reading();
  const files = found.map(
    (_, number) => ({ number, name: `${number}.dcm`, error: null, view: null, result: number }) as unknown as ExamFile,
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
  reading.analyses = found.map(
    (findings) =>
      ({ findings: findings.map(([detection_score, lesion]) => ({ detection_score, lesion })) }) as unknown as Analysis,
  );
  reading.setThreshold(0.3);
  return reading;
}

describe("a lesion in several views", () => {
  const reading = open(
    [
      [0.9, null],
      [0.5, "2.25.1"],
    ],
    [
      [0.8, "2.25.1"],
      [0.4, null],
    ],
    [[0.2, "2.25.1"]],
  );

  it("is judged as one, and once more takes it back", () => {
    const both = [
      { file: 0, finding: 1 },
      { file: 1, finding: 0 },
    ];
    reading.judge(both, "accepted");
    expect(reading.commonVerdict(both)).toBe("accepted");
    reading.judge([both[0]!], "rejected");
    expect([reading.commonVerdict(both), reading.verdict(both[0]!), reading.verdict(both[1]!)]).toEqual([
      null,
      "rejected",
      "accepted",
    ]);
    reading.judge(both, "accepted");
    reading.judge(both, "accepted");
    expect(reading.verdicts.size).toBe(0);
  });

  it("is selected as one", () => {
    reading.select({ file: 0, finding: 1 });
    expect(reading.isSelected({ file: 0, finding: 1 })).toBe(true);
    expect(reading.isSelected({ file: 1, finding: 0 })).toBe(true);
    expect(reading.isSelected({ file: 1, finding: 1 })).toBe(false);
    reading.select({ file: 0, finding: 0 });
    expect(reading.isSelected({ file: 1, finding: 1 })).toBe(false);
    reading.select(null);
    expect(reading.isSelected({ file: 0, finding: 0 })).toBe(false);
  });
});

describe("while the exam is analysed", () => {
  it("a view's results are there before the exam's", () => {
    const reading = open([[0.9, null]], [[0.8, null]]);
    reading.status = {
      ...reading.status!,
      files: reading.files.map((file) => ({ ...file, result: null, state: "analysing" })),
    };
    const [first] = reading.analyses!;
    reading.analyses = null;
    expect(reading.allShown).toEqual([]);
    reading.early = new Map([[0, first!]]);
    expect(reading.allShown).toEqual([{ file: 0, finding: 0 }]);
  });

  it.each([
    [false, false, 2, true],
    [true, false, 2, false],
    [true, false, 1, true],
    [true, true, 2, true], // together because they were sent together: analysed one by one
  ])("models that see exams: %s, vouched: %s, %i files", (sees_exams, is_vouched, count, isByView) => {
    const reading = open(...Array.from({ length: count }, (): [number, null][] => [[0.9, null]]));
    reading.health = { sees_exams } as unknown as Health;
    reading.status = { ...reading.status!, is_vouched };
    expect(reading.isByView).toBe(isByView);
  });
});
