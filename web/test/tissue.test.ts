import { describe, expect, it } from "vitest";
import { screenMap, toOriginal, type Camera } from "../src/model/frames";
import type { ViewImage } from "../src/model/images";
import { isInSight, keptOnTissue, nearestTissue, tissueOf } from "../src/model/tissue";

const [COLUMNS, ROWS] = [600, 800];
const pane = { width: 425, height: 336 };

/** A half disc of tissue at the left edge, and a label at the upper right. */
const isTissue = (x: number, y: number) => Math.hypot(x, y - 400) < 300;
const isLabel = (x: number, y: number) => x > 480 && x < 560 && y > 40 && y < 90;

function viewImage(grey: (x: number, y: number) => number): ViewImage {
  const samples = new Uint16Array(COLUMNS * ROWS);
  for (let y = 0; y < ROWS; y++) for (let x = 0; x < COLUMNS; x++) samples[y * COLUMNS + x] = grey(x, y);
  return {
    key: "",
    source: "original",
    samples,
    columns: COLUMNS,
    rows: ROWS,
    left: 0,
    top: 0,
    columnSize: 1,
    rowSize: 1,
    presets: {} as ViewImage["presets"],
  };
}

const film = viewImage((x, y) =>
  isTissue(x, y) ? 20000 + 50 * y : isLabel(x, y) ? 65535 : 900 + ((x * 7 + y * 13) % 300),
);
const tissue = tissueOf(film)!;

describe("the tissue of a view", () => {
  it("is the breast, not the air beside it nor a label", () => {
    for (const { x0, y0, x1, y1 } of tissue.cells) expect(isTissue((x0 + x1) / 2, (y0 + y1) / 2)).toBe(true);
    const area = tissue.cells.reduce((sum, { x0, y0, x1, y1 }) => sum + (x1 - x0) * (y1 - y0), 0);
    expect(area / ((Math.PI * 300 ** 2) / 2)).toBeGreaterThan(0.9);
    expect(tissue.middle[0]).toBeCloseTo((4 * 300) / 3 / Math.PI, -1);
    expect(tissue.middle[1]).toBeCloseTo(400, -1);
  });

  it("is in pixels of the original, whatever part of it the image is", () => {
    const part = tissueOf({ ...film, left: 100, top: 50, columnSize: 2, rowSize: 3 })!;
    expect(part.middle[0]).toBeCloseTo(100 + 2 * tissue.middle[0]);
    expect(part.middle[1]).toBeCloseTo(50 + 3 * tissue.middle[1]);
  });

  it("is not known of an image of one grey", () => {
    expect(tissueOf(viewImage(() => 0))).toBeNull();
    const lost: Camera = { x: -1e4, y: 0, zoom: 1, flipped: false };
    expect(keptOnTissue(lost, pane, 1, null)).toBe(lost);
  });
});

describe("a camera", () => {
  const cameras = [0.1, 0.4, 1, 5, 32].flatMap((zoom) =>
    [
      [550, 60],
      [590, 790],
      [-500, 400],
      [1200, -300],
      [300, 100],
      [20, 30],
    ].flatMap(([x, y]) => [false, true].map((flipped): Camera => ({ x: x!, y: y!, zoom, flipped }))),
  );

  it.each(cameras)("that looks at $x, $y at zoom $zoom has tissue in sight", (camera) => {
    for (const aspect of [1, 1.6]) {
      const kept = keptOnTissue(camera, pane, aspect, tissue);
      const map = screenMap(kept, pane, aspect);
      let seen = 0;
      for (let x = 0; x < pane.width; x += 4) {
        for (let y = 0; y < pane.height; y += 4) {
          const [ox, oy] = toOriginal(map, [x + 0.5, y + 0.5]);
          seen += Number(ox >= 0 && isTissue(ox, oy));
        }
      }
      expect(seen).toBeGreaterThan(20);
      expect(kept.zoom).toBe(camera.zoom);
    }
  });

  it("that has tissue in sight is left alone", () => {
    const camera: Camera = { x: 200, y: 400, zoom: 1, flipped: false };
    expect(keptOnTissue(camera, pane, 1, tissue)).toBe(camera);
    expect(isInSight(camera, pane, 1, [210, 390])).toBe(true);
    expect(isInSight(camera, pane, 1, [500, 390])).toBe(false);
  });
});

it("the nearest tissue of a point on it is the point itself", () => {
  expect(nearestTissue([100, 400], 1, tissue)).toEqual([100, 400]);
  const [x, y] = nearestTissue([580, 400], 1, tissue);
  expect(Math.hypot(x, y - 400)).toBeGreaterThan(280);
  expect(Math.abs(y - 400)).toBeLessThan(20);
});
