import { describe, expect, it } from "vitest";
import {
  breastBox,
  centredOn,
  distance,
  fillingZoom,
  fit,
  fromPreprocessed,
  panned,
  screenMap,
  toOriginal,
  toScreen,
  zoomedAt,
} from "../src/model/frames";

const film = { columns: 2560, rows: 3328, pixel_aspect: 1 };
const pane = { width: 425, height: 336 };
const fitted = (
  columns: number,
  rows: number,
  aspect: number,
  size: typeof pane,
  wall: "left" | "right" | null,
  flipped: boolean,
) =>
  fit(
    { x0: 0, y0: 0, x1: columns, y1: rows },
    size,
    fillingZoom({ width: columns, height: rows }, size, aspect),
    wall,
    flipped,
  );

describe("fit", () => {
  it.each([
    ["left", false, 0, 0],
    ["right", false, 2560, 425],
    ["left", true, 2560, 0],
    ["right", true, 0, 425],
  ] as const)("hangs the chest wall at the %s, flipped: %s", (wall, flipped, edge, at) => {
    const map = screenMap(fitted(2560, 3328, 1, pane, wall, flipped), pane, 1);
    expect(toScreen(map, [edge, 0])[0]).toBeCloseTo(at);
    expect(toScreen(map, [edge, 0])[1]).toBeCloseTo(0);
    expect(toScreen(map, [edge, 3328])[1]).toBeCloseTo(336);
  });

  it("puts a view of unknown side in the middle", () => {
    const map = screenMap(fitted(2560, 3328, 1, pane, null, false), pane, 1);
    expect(toScreen(map, [1280, 1664])).toEqual([212.5, 168]);
  });

  it("keeps the breast's proportions where pixels are not square", () => {
    const map = screenMap(fitted(100, 50, 2, { width: 200, height: 200 }, null, false), { width: 200, height: 200 }, 2);
    expect(toScreen(map, [100, 50])).toEqual([200, 200]);
  });
});

it.each([
  ["right", 1, 100, 200, 425],
  ["right", -1, 2550, 2450, 425],
  ["left", -1, 2550, 2450, 0],
] as const)("fits a breast of the %s wall, scale %i", (wall, scale_x, edge, inner, at) => {
  const preprocessed = {
    rows: 300,
    columns: 100,
    from_original: { scale_x, shift_x: scale_x > 0 ? -100 : 2550, scale_y: 1, shift_y: -40 },
  };
  const box = breastBox(preprocessed);
  expect([box.x0, box.x1]).toEqual([Math.min(edge, inner), Math.max(edge, inner)]);
  expect([box.y0, box.y1]).toEqual([40, 340]);
  const flipped = (scale_x < 0 ? "right" : "left") !== wall;
  const map = screenMap(fit(box, pane, 1, wall, flipped), pane, 1);
  expect(toScreen(map, [edge, 0])[0]).toBeCloseTo(at);
  expect(toScreen(map, [0, 190])[1]).toBeCloseTo(168);
});

it("comes back from the screen", () => {
  const map = screenMap({ x: 700, y: 900, zoom: 0.37, flipped: true }, pane, 1.3);
  const [x, y] = toOriginal(map, toScreen(map, [123.25, 2000.5]));
  expect(x).toBeCloseTo(123.25);
  expect(y).toBeCloseTo(2000.5);
});

it.each([false, true])("zooms at the pointer, flipped: %s", (flipped) => {
  const camera = { x: 700, y: 900, zoom: 0.2, flipped };
  const before = toOriginal(screenMap(camera, pane, 1.2), [100, 50]);
  const after = toOriginal(screenMap(zoomedAt(camera, pane, 1.2, [100, 50], 3), pane, 1.2), [100, 50]);
  expect(after[0]).toBeCloseTo(before[0]);
  expect(after[1]).toBeCloseTo(before[1]);
});

it("does not zoom without end", () => {
  expect(zoomedAt({ x: 0, y: 0, zoom: 1, flipped: false }, pane, 1, [0, 0], 1e9).zoom).toBe(32);
});

it.each([false, true])("pans with the pointer, flipped: %s", (flipped) => {
  const camera = { x: 1000, y: 1000, zoom: 0.5, flipped };
  const [before, after] = [camera, panned(camera, film, 30, -20)].map((each) =>
    toScreen(screenMap(each, pane, 1), [900, 900]),
  );
  expect(after![0] - before![0]).toBeCloseTo(30);
  expect(after![1] - before![1]).toBeCloseTo(-20);
});

it("centres a finding and zooms in, never out", () => {
  const box = { x0: 600, y0: 1200, x1: 800, y1: 1400 };
  const from = fitted(2560, 3328, 1, pane, "left", false);
  const near = centredOn(from, pane, 1, box);
  expect([near.x, near.y]).toEqual([700, 1300]);
  expect(near.zoom).toBeGreaterThan(from.zoom);
  expect(centredOn({ ...from, zoom: 5 }, pane, 1, box).zoom).toBe(5);
});

describe("distance", () => {
  it("is in mm where the spacing is known", () => {
    expect(distance([0, 0], [30, 40], 1, { row_mm: 0.1, column_mm: 0.1, source: "" })).toEqual({
      value: 5,
      unit: "mm",
    });
  });
  it("is in columns where it is not", () => {
    expect(distance([0, 0], [30, 20], 2, null)).toEqual({ value: 50, unit: "px" });
  });
});

it("knows where a mirrored, cropped image lies in the original", () => {
  // x' = 2560 - x - 10: mirrored, ten columns cut off at the chest wall.
  const change = { scale_x: -1, shift_x: 2550, scale_y: 1, shift_y: -40 };
  expect(fromPreprocessed(change, [0, 0])).toEqual([2550, 40]);
});
