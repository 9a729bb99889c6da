import { describe, expect, it } from "vitest";
import type { ExamStatus } from "../src/model/api";
import { examNames } from "../src/model/exam_names";

const exam = (id: string, created: string): ExamStatus => ({
  id,
  created,
  state: "done",
  progress: 1,
  files: [],
  is_vouched: false,
  warnings: [],
});
const names = (...exams: ExamStatus[]) => [...examNames(exams).values()];

describe("exams in the list", () => {
  it("are told apart where several were sent together", () => {
    const [first, second, alone] = names(
      exam("a", "2026-11-01T08:00:00.100Z"),
      exam("b", "2026-11-01T08:00:00.100Z"),
      exam("c", "2026-11-01T08:00:00.900Z"), // another upload within the second
    );
    expect(first).toMatch(/^Exam \d\d:\d\d:00, 1 of 2$/);
    expect(second).toBe(first!.replace("1 of", "2 of"));
    expect(alone).toMatch(/^Exam \d\d:\d\d:00$/);
  });

  it("are none where none was sent", () => expect(names()).toEqual([]));
});
