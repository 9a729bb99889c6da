/** The pixels of a view, fetched once: the original as 16-bit samples, the preprocessed image as 8-bit ones. */
import { originalPixels, preprocessedImage, type View } from "./api";
import { fromPreprocessed } from "./frames";
import { presetsOf, type Preset, type Window } from "./windowing";

export type Source = "original" | "preprocessed";

export interface ViewImage {
  key: string;
  source: Source;
  samples: Uint16Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;
  columns: number;
  rows: number;
  /** Place of the image's top left corner and size of its pixels, in pixels of the original. */
  left: number;
  top: number;
  columnSize: number;
  rowSize: number;
  presets: Record<Preset, Window>;
}

const KEPT_BYTES = 700e6;

/** Fetches images and keeps the ones used last. */
export class ImageStore {
  private readonly kept = new Map<string, Promise<ViewImage>>();
  private readonly sizes = new Map<string, number>();

  constructor(
    private readonly longestSide: number,
    private readonly forgotten: (key: string) => void,
  ) {}

  get(exam: string, file: number, view: View, source: Source): Promise<ViewImage> {
    const key = `mammoscope:${exam}/${file}/${source}`;
    const known = this.kept.get(key);
    if (known) {
      this.kept.delete(key);
      this.kept.set(key, known);
      return known;
    }
    const loading = (source === "original" ? loadOriginal(exam, file, view) : loadPreprocessed(exam, file, view)).then(
      (image) => {
        const fitting = reduced({ ...image, key }, this.longestSide);
        this.sizes.set(key, fitting.samples.byteLength);
        this.forgetOldest(key);
        return fitting;
      },
    );
    this.kept.set(key, loading);
    loading.catch(() => this.kept.delete(key));
    return loading;
  }

  forgetExam(exam: string): void {
    for (const key of [...this.kept.keys()]) {
      if (key.startsWith(`mammoscope:${exam}/`)) this.forget(key);
    }
  }

  private forget(key: string): void {
    this.kept.delete(key);
    this.sizes.delete(key);
    this.forgotten(key);
  }

  private forgetOldest(newest: string): void {
    let total = [...this.sizes.values()].reduce((sum, size) => sum + size, 0);
    for (const key of [...this.kept.keys()]) {
      if (total <= KEPT_BYTES) return;
      const size = this.sizes.get(key);
      if (key === newest || size === undefined) continue;
      total -= size;
      this.forget(key);
    }
  }
}

type Bare = Omit<ViewImage, "key">;

async function loadOriginal(exam: string, file: number, view: View): Promise<Bare> {
  const samples = await originalPixels(exam, file);
  if (samples.length !== view.rows * view.columns) throw new Error("The server sent another number of pixels.");
  const presets = presetsOf(samples, view.window, 65535);
  const { columns, rows } = view;
  return { source: "original", samples, columns, rows, left: 0, top: 0, columnSize: 1, rowSize: 1, presets };
}

async function loadPreprocessed(exam: string, file: number, view: View): Promise<Bare> {
  if (!view.preprocessed)
    throw new Error("There is no preprocessed image: no breast was found, or it is not done yet.");
  const bitmap = await createImageBitmap(await preprocessedImage(exam, file), { colorSpaceConversion: "none" });
  const { width: columns, height: rows } = bitmap;
  const context = new OffscreenCanvas(columns, rows).getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("The browser gave no canvas.");
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = context.getImageData(0, 0, columns, rows).data;
  const change = view.preprocessed.from_original;
  // Turned back as the file is, so that one flip of the display does for both images.
  const isMirrored = change.scale_x < 0;
  const samples = new Uint8Array(columns * rows);
  for (let y = 0, at = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++, at++) {
      samples[at] = rgba[4 * (isMirrored ? y * columns + columns - 1 - x : at)]!;
    }
  }
  const [left, top] = fromPreprocessed(change, [isMirrored ? columns : 0, 0]);
  const [columnSize, rowSize] = [1 / Math.abs(change.scale_x), 1 / change.scale_y];
  const presets = presetsOf(samples, { center: 128, width: 256 }, 255);
  return { source: "preprocessed", samples, columns, rows, left, top, columnSize, rowSize, presets };
}

/** An image whose sides the graphics card takes: averaged by whole factors where a side is longer. */
export function reduced(image: ViewImage, longestSide: number): ViewImage {
  const factor = Math.ceil(Math.max(image.columns, image.rows) / longestSide);
  if (factor <= 1) return image;
  const columns = Math.floor(image.columns / factor);
  const rows = Math.floor(image.rows / factor);
  const samples =
    image.samples instanceof Uint16Array ? new Uint16Array(columns * rows) : new Uint8Array(columns * rows);
  for (let y = 0, at = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++, at++) {
      let sum = 0;
      for (let dy = 0; dy < factor; dy++) {
        const row = (y * factor + dy) * image.columns + x * factor;
        for (let dx = 0; dx < factor; dx++) sum += image.samples[row + dx]!;
      }
      samples[at] = sum / (factor * factor);
    }
  }
  const [columnSize, rowSize] = [image.columnSize * factor, image.rowSize * factor];
  return { ...image, samples, columns, rows, columnSize, rowSize };
}
