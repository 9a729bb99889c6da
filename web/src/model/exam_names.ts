/** What exams are called where they are listed. */
import type { ExamStatus } from "./api";

/** By its id, each exam's name: when it was sent, and which it is of those that were sent together, at one `created`. */
export function examNames(exams: readonly ExamStatus[]): ReadonlyMap<string, string> {
  const together = new Map<string, string[]>();
  for (const { id, created } of exams) {
    together.set(created, [...(together.get(created) ?? []), id]);
  }
  return new Map(
    [...together].flatMap(([created, ids]) =>
      ids.map(
        (id, place) =>
          [id, `Exam ${timeOfDay(created)}${ids.length > 1 ? `, ${place + 1} of ${ids.length}` : ""}`] as const,
      ),
    ),
  );
}

const timeOfDay = (created: string) =>
  new Date(created).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
