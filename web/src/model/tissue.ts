/** Where a view has tissue, coarsely; and cameras that always have some of it in sight. */
import type { Point } from "./api";
import { clamp, screenMap, toOriginal, type Box, type Camera, type Size } from "./frames";
import type { ViewImage } from "./images";

const CELLS = 96; // along the longer side
const SAMPLES = 4; // along a side of a cell
/** Tissue is brighter than air by this share of the range from air to the brightest tissue. */
const ABOVE_AIR = 0.06;
/** So much of a pane's edge does not count as its sight: tissue just within the border is not seen. */
const [EDGE, EDGE_SHARE] = [80, 0.25];

export interface Tissue {
  /** Cells of tissue alone, in pixels of the original; at least one. */
  cells: readonly Box[];
  /** Their centre of gravity. */
  middle: Point;
}

/** The largest connected bright part of an image, which leaves out burnt-in labels; null: all of it is of one grey. */
export function tissueOf(image: ViewImage): Tissue | null {
  const side = Math.max(image.columns, image.rows) / Math.min(CELLS, Math.max(image.columns, image.rows));
  const [across, down] = [Math.ceil(image.columns / side), Math.ceil(image.rows / side)];
  const sampleAt = (column: number, row: number, at: number) => {
    const x = Math.floor((column + ((at % SAMPLES) + 0.5) / SAMPLES) * side);
    const y = Math.floor((row + (Math.floor(at / SAMPLES) + 0.5) / SAMPLES) * side);
    return image.samples[Math.min(y, image.rows - 1) * image.columns + Math.min(x, image.columns - 1)]!;
  };
  const count = across * down;
  const greys = new Float64Array(count * SAMPLES ** 2);
  greys.forEach((_, at) => {
    const cell = Math.floor(at / SAMPLES ** 2);
    greys[at] = sampleAt(cell % across, Math.floor(cell / across), at % SAMPLES ** 2);
  });
  const sorted = Float64Array.from(greys).sort();
  const [air, brightest] = [sorted[Math.floor(0.02 * sorted.length)]!, sorted[Math.floor(0.98 * sorted.length)]!];
  if (brightest <= air) return null;
  const least = air + ABOVE_AIR * (brightest - air);
  const isFilled = new Uint8Array(count);
  for (let cell = 0; cell < count; cell++) {
    isFilled[cell] = Number(
      greys.subarray(cell * SAMPLES ** 2, (cell + 1) * SAMPLES ** 2).every((grey) => grey > least),
    );
  }
  const largest = largestPart(isFilled, across);
  if (largest.length === 0) return null;
  const cells = largest.map((cell): Box => {
    const [x, y] = [cell % across, Math.floor(cell / across)];
    const [width, height] = [side * image.columnSize, side * image.rowSize];
    return {
      x0: image.left + x * width,
      y0: image.top + y * height,
      x1: image.left + (x + 1) * width,
      y1: image.top + (y + 1) * height,
    };
  });
  const mean = (of: (cell: Box) => number) => cells.reduce((sum, cell) => sum + of(cell), 0) / cells.length;
  return { cells, middle: [mean(({ x0, x1 }) => (x0 + x1) / 2), mean(({ y0, y1 }) => (y0 + y1) / 2)] };
}

/** Of the cells that are filled, those of the largest part that hangs together by their sides. */
function largestPart(isFilled: Uint8Array, across: number): number[] {
  const isSeen = new Uint8Array(isFilled.length);
  let largest: number[] = [];
  for (let start = 0; start < isFilled.length; start++) {
    if (!isFilled[start] || isSeen[start]) continue;
    const part = [start];
    isSeen[start] = 1;
    for (let next = 0; next < part.length; next++) {
      const cell = part[next]!;
      const beside = [
        cell - across,
        cell + across,
        ...(cell % across > 0 ? [cell - 1] : []),
        ...((cell + 1) % across > 0 ? [cell + 1] : []),
      ];
      for (const other of beside) {
        if (!isFilled[other] || isSeen[other]) continue;
        isSeen[other] = 1;
        part.push(other);
      }
    }
    if (part.length > largest.length) largest = part;
  }
  return largest;
}

/** The camera, moved no further than needed to have tissue in sight. */
export function keptOnTissue(camera: Camera, pane: Size, aspect: number, tissue: Tissue | null): Camera {
  if (!tissue || pane.width === 0 || pane.height === 0) return camera;
  const sight = sightOf(camera, pane, aspect);
  let [dx, dy, least] = [0, 0, Infinity];
  for (const cell of tissue.cells) {
    const x = apart(sight.x0, sight.x1, cell.x0, cell.x1);
    const y = apart(sight.y0, sight.y1, cell.y0, cell.y1);
    const way = Math.hypot(x, y * aspect);
    if (way === 0) return camera;
    if (way < least) [dx, dy, least] = [x, y, way];
  }
  return { ...camera, x: camera.x + dx, y: camera.y + dy };
}

/** Whether an original point is in sight. */
export function isInSight(camera: Camera, pane: Size, aspect: number, [x, y]: Point): boolean {
  const sight = sightOf(camera, pane, aspect);
  return x >= sight.x0 && x <= sight.x1 && y >= sight.y0 && y <= sight.y1;
}

/** The point itself where there is tissue, else the tissue that is nearest. */
export function nearestTissue([x, y]: Point, aspect: number, { cells }: Tissue): Point {
  const points = cells.map((cell): Point => [clamp(x, cell.x0, cell.x1), clamp(y, cell.y0, cell.y1)]);
  const way = ([px, py]: Point) => Math.hypot(px - x, (py - y) * aspect);
  return points.reduce((best, point) => (way(point) < way(best) ? point : best));
}

/** What a pane shows of the original, without the pane's edge. */
function sightOf(camera: Camera, pane: Size, aspect: number): Box {
  const map = screenMap(camera, pane, aspect);
  const [left, top] = [Math.min(EDGE, EDGE_SHARE * pane.width), Math.min(EDGE, EDGE_SHARE * pane.height)];
  const [ax, ay] = toOriginal(map, [left, top]);
  const [bx, by] = toOriginal(map, [pane.width - left, pane.height - top]);
  return { x0: Math.min(ax, bx), y0: ay, x1: Math.max(ax, bx), y1: by };
}

/** How far the first span has to move to touch the second; 0: it does. */
const apart = (from: number, to: number, low: number, high: number) =>
  high < from ? high - from : low > to ? low - to : 0;
