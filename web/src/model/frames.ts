/**
 * Between pixels of the original image and pixels of the screen: the only module that does such sums.
 *
 * Original pixels are continuous: pixel i covers [i, i + 1). Screen pixels are CSS pixels of the pane.
 */
import type { FrameChange, Point, Preprocessed, Spacing } from "./api";

/** Where a pane looks: the original point at its middle, and CSS pixels for one column of the original. */
export interface Camera {
  x: number;
  y: number;
  zoom: number;
  flipped: boolean;
}

export interface Size {
  width: number;
  height: number;
}

/** An upright rectangle of the original. */
export interface Box {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

/** What of an image the sums need. */
export interface Shape {
  columns: number;
  rows: number;
  pixel_aspect: number;
}

/** screen = a * original + c along x, d * original + f along y. */
export interface ScreenMap {
  a: number;
  c: number;
  d: number;
  f: number;
}

export type Wall = "left" | "right";

const SMALLEST_ZOOM = 0.02;
const LARGEST_ZOOM = 32;

export function screenMap(camera: Camera, pane: Size, aspect: number): ScreenMap {
  const a = camera.flipped ? -camera.zoom : camera.zoom;
  const d = camera.zoom * aspect;
  return { a, c: pane.width / 2 - a * camera.x, d, f: pane.height / 2 - d * camera.y };
}

export const toScreen = (map: ScreenMap, [x, y]: Point): Point => [map.a * x + map.c, map.d * y + map.f];

export const toOriginal = (map: ScreenMap, [x, y]: Point): Point => [(x - map.c) / map.a, (y - map.f) / map.d];

/** The zoom at which something so large, in original pixels, just fills a pane. */
export const fillingZoom = (size: Size, pane: Size, aspect: number) =>
  Math.min(pane.width / size.width, pane.height / (size.height * aspect));

/** A part of the image, its chest wall at the pane's `wall` edge; in the middle where that is null. */
export function fit(box: Box, pane: Size, zoom: number, wall: Wall | null, flipped: boolean): Camera {
  const spare = pane.width - (box.x1 - box.x0) * zoom;
  const shift = wall === null ? 0 : (wall === "left" ? spare : -spare) / 2 / zoom;
  const x = (box.x0 + box.x1) / 2 + (flipped ? -shift : shift);
  return { x, y: (box.y0 + box.y1) / 2, zoom, flipped };
}

/** Zooms by a factor so that the original point under `at` stays there. */
export function zoomedAt(camera: Camera, pane: Size, aspect: number, at: Point, factor: number): Camera {
  const zoom = Math.min(LARGEST_ZOOM, Math.max(SMALLEST_ZOOM, camera.zoom * factor));
  const [x, y] = toOriginal(screenMap(camera, pane, aspect), at);
  const ratio = camera.zoom / zoom;
  return { ...camera, zoom, x: x + (camera.x - x) * ratio, y: y + (camera.y - y) * ratio };
}

/** Moves the image with the pointer by screen pixels, its middle kept within the image. */
export function panned(camera: Camera, shape: Shape, dx: number, dy: number): Camera {
  const x = camera.x - dx / (camera.flipped ? -camera.zoom : camera.zoom);
  const y = camera.y - dy / (camera.zoom * shape.pixel_aspect);
  return { ...camera, x: clamp(x, -shape.columns, 2 * shape.columns), y: clamp(y, 0, shape.rows) };
}

/** Shows a box in the middle, large enough to judge: never less than the zoom there is. */
export function centredOn(camera: Camera, pane: Size, aspect: number, box: Box): Camera {
  const share = 0.35;
  const wanted = Math.min(
    (share * pane.width) / Math.max(1, box.x1 - box.x0),
    (share * pane.height) / Math.max(1, (box.y1 - box.y0) * aspect),
    1,
  );
  return {
    ...camera,
    x: (box.x0 + box.x1) / 2,
    y: (box.y0 + box.y1) / 2,
    zoom: Math.max(camera.zoom, wanted),
  };
}

/** Length between two original points, in mm where the spacing is known, else in columns of the original. */
export function distance(a: Point, b: Point, aspect: number, spacing: Spacing | null): { value: number; unit: string } {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  if (spacing) return { value: Math.hypot(dx * spacing.column_mm, dy * spacing.row_mm), unit: "mm" };
  return { value: Math.hypot(dx, dy * aspect), unit: "px" };
}

/** The original point of a preprocessed one. */
export const fromPreprocessed = (change: FrameChange, [x, y]: Point): Point => [
  (x - change.shift_x) / change.scale_x,
  (y - change.shift_y) / change.scale_y,
];

/** Where the preprocessed image lies in the original: around the breast. */
export function breastBox({ rows, columns, from_original }: Preprocessed): Box {
  const [ax, ay] = fromPreprocessed(from_original, [0, 0]);
  const [bx, by] = fromPreprocessed(from_original, [columns, rows]);
  return { x0: Math.min(ax, bx), y0: ay, x1: Math.max(ax, bx), y1: by };
}

export const clamp = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));
