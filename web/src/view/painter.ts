/** Draws a part of an image on a plain canvas: for the magnifier, and for browsers without WebGL. */
import type { ScreenMap, Size } from "../model/frames";
import type { ViewImage } from "../model/images";
import type { Window } from "../model/windowing";

/** Grey values 0..255 for every sample value. */
export function greyTable(window: Window, isInverted: boolean, entries: number): Uint8ClampedArray {
  const table = new Uint8ClampedArray(entries);
  const low = window.center - window.width / 2;
  const slope = 255 / window.width;
  for (let value = 0; value < entries; value++) {
    const grey = (value - low) * slope;
    table[value] = isInverted ? 255 - grey : grey;
  }
  return table;
}

/** What a pane with this map shows of the image, a sample for each of its pixels; -1: outside. */
export function sampled(image: ViewImage, map: ScreenMap, { width, height }: Size): Int32Array {
  const { samples, columns, rows } = image;
  const seen = new Int32Array(width * height).fill(-1);
  const across = taps(columns, width, (x) => ((x - map.c) / map.a - image.left) / image.columnSize);
  const down = taps(rows, height, (y) => ((y - map.f) / map.d - image.top) / image.rowSize);
  for (let y = 0; y < height; y++) {
    const [y0, y1] = [down.from[y]!, down.to[y]!];
    if (y0 < 0) continue;
    for (let x = 0; x < width; x++) {
      const [x0, x1] = [across.from[x]!, across.to[x]!];
      if (x0 < 0) continue;
      const [top, bottom] = [y0 * columns, y1 * columns];
      const sum = samples[top + x0]! + samples[top + x1]! + samples[bottom + x0]! + samples[bottom + x1]!;
      seen[y * width + x] = (sum + 2) >> 2;
    }
  }
  return seen;
}

/** Fills `target` with the greys of samples; black outside. */
export function shade(target: ImageData, seen: Int32Array, table: Uint8ClampedArray): void {
  const pixels = new Uint32Array(target.data.buffer);
  for (let at = 0; at < seen.length; at++) {
    const sample = seen[at]!;
    const grey = sample < 0 ? 0 : table[sample]!;
    pixels[at] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
  }
}

/** For each screen pixel the two samples that it averages along one axis; -1: outside. */
function taps(count: number, length: number, sampleAt: (at: number) => number) {
  const from = new Int32Array(length);
  const to = new Int32Array(length);
  for (let at = 0; at < length; at++) {
    const [a, b] = [Math.floor(sampleAt(at + 0.25)), Math.floor(sampleAt(at + 0.75))];
    const isInside = a >= 0 && a < count && b >= 0 && b < count;
    from[at] = isInside ? a : -1;
    to[at] = isInside ? b : -1;
  }
  return { from, to };
}
