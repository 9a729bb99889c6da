import { describe, expect, it } from "vitest";
import type { View } from "../src/model/api";
import { breastIn, hangsInRow, levelMiddle, scaleOf, zoomOf } from "../src/model/scale";

function view(mm: number | null, tip_row: number | null = null): View {
  const from_original = { scale_x: 1, shift_x: 0, scale_y: 1, shift_y: -100 };
  const spacing = mm === null ? null : { row_mm: mm, column_mm: mm, source: "" };
  return {
    rows: 2000,
    columns: 1500,
    pixel_aspect: 1,
    laterality: "LEFT",
    view: "CC",
    spacing,
    window: { center: 0, width: 1 },
    preprocessed: { rows: 1000, columns: 600, from_original, tip_row },
    warnings: [],
  };
}

const box = (width: number, height: number, y0 = 0) => ({ x0: 0, y0, x1: width, y1: y0 + height });

describe("where the breast is", () => {
  const cells = [
    { x0: -5, y0: 20, x1: 30, y1: 40 },
    { x0: 10, y0: 40, x1: 1510, y1: 60 },
  ];

  it("is as the models have it", () =>
    expect(breastIn(view(1), { cells, middle: [0, 0] })).toEqual({ x0: 0, y0: 100, x1: 600, y1: 1100 }));
  it("is where there is tissue before that, within the image", () => {
    expect(breastIn({ ...view(1), preprocessed: null }, { cells, middle: [0, 0] })).toEqual({
      x0: 0,
      y0: 20,
      x1: 1500,
      y1: 60,
    });
  });
  it("is not known without an image", () => expect(breastIn({ ...view(1), preprocessed: null }, null)).toBeNull());
});

describe("one scale", () => {
  it("is not known without a breast", () => expect(scaleOf([])).toBeNull());

  it("is in mm where every file states its spacing: the finer image is shown smaller for each column", () => {
    const [coarse, fine] = [view(0.1), view(0.05)];
    const scale = scaleOf([
      { view: coarse, box: box(1000, 1500) },
      { view: fine, box: box(2400, 2000) },
    ])!;
    expect(scale).toEqual({ isInMm: true, size: { width: 120, height: 150 } });
    const pane = { width: 240, height: 600 };
    expect(zoomOf(scale, coarse, pane)).toBeCloseTo(0.2);
    expect(zoomOf(scale, fine, pane)).toBeCloseTo(0.1);
  });

  it("is in pixels where one does not", () => {
    const scale = scaleOf([
      { view: view(0.1), box: box(1000, 1500) },
      { view: view(null), box: box(2000, 1000) },
    ])!;
    expect(scale).toEqual({ isInMm: false, size: { width: 2000, height: 1500 } });
    expect(zoomOf(scale, view(0.1), { width: 500, height: 500 })).toBe(0.25);
    expect(zoomOf(scale, view(null), { width: 500, height: 500 })).toBe(0.25);
  });
});

it.each([
  [1240, 1000, true],
  [1366, 640, true],
  [780, 640, false], // panes would be too narrow for words
  [1800, 2300, false], // a portrait monitor
])("four views in %i by %i hang in a row: %s", (width, height, isRow) =>
  expect(hangsInRow({ width, height }, null)).toBe(isRow),
);

describe("level nipples", () => {
  const own = { view: view(0.1, 600), box: box(600, 1000), zoom: 0.5 };
  const other = { view: view(0.1, 500), box: box(600, 1000), zoom: 0.5 };

  it("both middles are as far from their nipple", () => {
    const [a, b] = [levelMiddle(own, other, 600)!, levelMiddle(other, own, 600)!];
    expect(a - 600).toBe(b - 500);
    expect(a).toBe(550);
  });
  it("not where a breast would be cut", () => expect(levelMiddle(own, other, 540)).toBeNull());
  it("not where one is not known", () => expect(levelMiddle(own, { ...other, view: view(0.1) }, 600)).toBeNull());
});
