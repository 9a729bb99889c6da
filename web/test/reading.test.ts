import { describe, expect, it } from "vitest";
import type { Analysis, ExamFile, ExamStatus } from "../src/model/api";
import { Reading } from "../src/model/reading";

/** Detection score and lesion of the findings of each file. */
function open(...found: [number, string | null][][]): Reading {
  const reading = new Reading();
  const files = found.map((_, number) => ({ number, name: `${number}.dcm`, error: null, view: null, result: number }) as unknown as ExamFile);
  reading.open({ id: "1", created: "", state: "done", progress: 1, files, is_vouched: false, warnings: [] } satisfies ExamStatus);
  reading.analyses = found.map((findings) => ({ findings: findings.map(([detection_score, lesion]) => ({ detection_score, lesion })) }) as unknown as Analysis);
  reading.setThreshold(0.3);
  return reading;
}

describe("a lesion in several views", () => {
  const reading = open([[0.9, null], [0.5, "2.25.1"]], [[0.8, "2.25.1"], [0.4, null]], [[0.2, "2.25.1"]]);

  it("is told of each of its findings that is shown", () => {
    expect(reading.counterparts({ file: 0, finding: 1 })).toEqual([{ file: 1, finding: 0 }]);
    expect(reading.counterparts({ file: 0, finding: 0 })).toEqual([]);
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
