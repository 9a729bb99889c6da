import { describe, expect, it } from "vitest";
import type { ExamFile, Side, View } from "../src/model/api";
import {
  brighterEdge,
  hang,
  inOneRow,
  isFlipped,
  readingOrder,
  sequence,
  title,
  wallInFile,
} from "../src/model/hanging";

function view(laterality: Side | null, name: string | null, scaleX: number | null = null): View {
  const from_original = { scale_x: scaleX ?? 1, shift_x: 0, scale_y: 1, shift_y: 0 };
  return {
    rows: 4,
    columns: 6,
    pixel_aspect: 1,
    laterality,
    view: name,
    spacing: null,
    window: { center: 32768, width: 65536 },
    preprocessed: scaleX === null ? null : { rows: 4, columns: 6, from_original },
    warnings: [],
  };
}

const file = (
  number: number,
  laterality: Side | null,
  name: string | null,
  state: ExamFile["state"] = "done",
): ExamFile => ({
  number,
  name: `${number}.dcm`,
  state,
  progress: 1,
  error: null,
  result: number,
  view: state === "queued" || state === "failed" ? null : view(laterality, name),
});

const four = [file(0, "LEFT", "MLO"), file(1, "RIGHT", "CC"), file(2, "LEFT", "CC"), file(3, "RIGHT", "MLO")];

const placed = (files: ExamFile[], isWhole = true) =>
  hang(files, isWhole).map((sheet) => sheet.places.map(({ file, row, column }) => [file, row, column]));

describe("hang", () => {
  it("has no sheet without a view", () => {
    expect(hang([], true)).toEqual([]);
    expect(hang([file(0, null, null, "failed")], true)).toEqual([]);
  });
  it("hangs four views as readers do", () => {
    expect(placed(four)).toEqual([
      [
        [1, 0, 0],
        [2, 0, 1],
        [3, 1, 0],
        [0, 1, 1],
      ],
    ]);
  });
  it("keeps the places of views that are still to come", () => {
    const files = [four[2]!, file(1, null, null, "queued")];
    expect(placed(files, false)).toEqual([
      [
        [null, 0, 0],
        [2, 0, 1],
        [null, 1, 0],
        [null, 1, 1],
      ],
    ]);
  });
  it("says which view is missing of an exam that is whole", () => {
    expect(hang(four.slice(0, 3), true)[0]!.places.find(({ file }) => file === null)?.title).toBe("R MLO");
  });
  it("puts the two views of one breast side by side", () => {
    expect(placed([four[0]!, four[2]!])).toEqual([
      [
        [2, 0, 0],
        [0, 0, 1],
      ],
    ]);
  });
  it("shows a single view alone", () => {
    expect(hang([four[0]!], true)).toMatchObject([{ rows: 1, columns: 1 }]);
  });
  it("hangs views that are not known in a grid", () => {
    const files = [0, 1, 2].map((number) => file(number, null, null));
    expect(placed(files)).toEqual([
      [
        [0, 0, 0],
        [1, 0, 1],
        [2, 1, 0],
      ],
    ]);
  });
  it("puts second views of a kind on a sheet of their own", () => {
    expect(placed([...four, file(4, "LEFT", "CC"), file(5, "LEFT", "ML")])[1]).toEqual([
      [4, 0, 0],
      [5, 0, 1],
    ]);
  });
});

describe("the chest wall", () => {
  it.each([
    ["RIGHT", 1, true],
    ["RIGHT", -1, false],
    ["LEFT", 1, false],
    ["LEFT", -1, true],
    [null, -1, false],
  ] as const)("of a %s breast with scale %d is flipped: %s", (side, scaleX, flipped) => {
    const shown = view(side, "CC", scaleX);
    expect(isFlipped(shown, wallInFile(shown, new Uint16Array(24)))).toBe(flipped);
  });
  it("is where the tissue is before the preprocessing is done", () => {
    const pixels = new Uint16Array([0, 0, 0, 0, 5, 9, 0, 0, 0, 0, 5, 9]);
    expect(brighterEdge(pixels, 2, 6)).toBe("right");
    expect(brighterEdge(pixels.reverse(), 2, 6)).toBe("left");
  });
});

it("reads as it hangs", () => {
  expect(readingOrder([...four, file(4, null, null)]).map(({ number }) => number)).toEqual([1, 2, 3, 0, 4]);
});

it("names a view by what is known of it", () => {
  expect([view("LEFT", "CC"), view(null, "CC"), view(null, null), null].map(title)).toEqual([
    "L CC",
    "CC",
    "unknown view",
    "unknown view",
  ]);
});

describe("the reading sequence", () => {
  const words = (files: ExamFile[]) => sequence(hang(files, true)).map(({ words }) => words);

  it("is all views, the pairs, each view", () => {
    expect(words(four)).toEqual(["all views", "CC pair", "MLO pair", "R CC", "L CC", "R MLO", "L MLO"]);
    expect(sequence(hang(four, true)).map(({ row, file }) => [row, file])).toEqual([
      [null, null],
      [0, null],
      [1, null],
      [null, 1],
      [null, 2],
      [null, 3],
      [null, 0],
    ]);
  });
  it("has no pairs where the square is not one of CC and MLO", () => {
    const files = [0, 1, 2, 3].map((number) => file(number, null, null));
    expect(words(files)).toEqual(["all views", "unknown view", "unknown view", "unknown view", "unknown view"]);
  });
  it("leaves out what is missing", () =>
    expect(words(four.slice(0, 2))).toEqual(["all views", "CC pair", "MLO pair", "R CC", "L MLO"]));
  it("of one breast, or one view, has no pairs", () => {
    expect(words([four[0]!, four[2]!])).toEqual(["all views", "L CC", "L MLO"]);
    expect(words([four[0]!])).toEqual(["L MLO"]);
    expect(words([])).toEqual([]);
  });
  it("goes through all sheets", () =>
    expect(words([...four, file(4, "LEFT", "CC")]).slice(-3)).toEqual(["R MLO", "L MLO", "L CC"]));
});

it("hangs the CC pair beside the MLO pair", () => {
  const { rows, columns, places } = inOneRow(hang(four, true)[0]!);
  expect([rows, columns]).toEqual([1, 4]);
  expect(places.map(({ file, row, column }) => [file, row, column])).toEqual([
    [1, 0, 0],
    [2, 0, 1],
    [3, 0, 2],
    [0, 0, 3],
  ]);
});
