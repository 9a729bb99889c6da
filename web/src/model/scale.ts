/** The one scale at which the views of an exam hang: in millimetres where all of them state their spacing, else in pixels. */
import type { View } from "./api";
import { breastBox, fillingZoom, type Box, type Size } from "./frames";
import type { Tissue } from "./tissue";

export interface Scale {
  isInMm: boolean;
  /** Width and height that no breast of the exam exceeds, in mm, else in columns. */
  size: Size;
}

/** Where the breast is: as the models have it, before that where there is tissue; null: it is not known. */
export function breastIn(view: View, tissue: Tissue | null): Box | null {
  if (view.preprocessed) return breastBox(view.preprocessed);
  if (!tissue) return null;
  const box = { x0: Infinity, y0: Infinity, x1: -Infinity, y1: -Infinity };
  for (const { x0, y0, x1, y1 } of tissue.cells) {
    box.x0 = Math.min(box.x0, x0);
    box.y0 = Math.min(box.y0, y0);
    box.x1 = Math.max(box.x1, x1);
    box.y1 = Math.max(box.y1, y1);
  }
  return {
    x0: Math.max(0, box.x0),
    y0: Math.max(0, box.y0),
    x1: Math.min(view.columns, box.x1),
    y1: Math.min(view.rows, box.y1),
  };
}

/** Of the breasts that are known; null: none is. */
export function scaleOf(breasts: readonly { view: View; box: Box }[]): Scale | null {
  if (breasts.length === 0) return null;
  const isInMm = breasts.every(({ view }) => view.spacing !== null);
  const sizes = breasts.map(({ view, box }) => {
    const [across, down] = isInMm ? [view.spacing!.column_mm, view.spacing!.row_mm] : [1, view.pixel_aspect];
    return { width: (box.x1 - box.x0) * across, height: (box.y1 - box.y0) * down };
  });
  return {
    isInMm,
    size: {
      width: Math.max(...sizes.map(({ width }) => width)),
      height: Math.max(...sizes.map(({ height }) => height)),
    },
  };
}

/** CSS pixels for one column of a view, at which every breast of the exam fits into a pane of this size. */
export const zoomOf = ({ isInMm, size }: Scale, view: View, pane: Size): number =>
  fillingZoom(size, pane, 1) * (isInMm ? view.spacing!.column_mm : 1);

/** A breast in a mammogram, where none is known yet: about twice as high as it is wide. */
const USUAL: Size = { width: 110, height: 220 };
/** Panes that are narrower have no room for their words. */
const NARROWEST = 270;

/** Whether four views fill the room better in a row, CC beside MLO, than in a square. */
export function hangsInRow(room: Size, scale: Scale | null): boolean {
  const size = scale?.size ?? USUAL;
  const inRow = { width: room.width / 4, height: room.height };
  const inSquare = { width: room.width / 2, height: room.height / 2 };
  return inRow.width >= NARROWEST && fillingZoom(size, inRow, 1) > fillingZoom(size, inSquare, 1);
}

/** A breast on screen: `zoom` is CSS pixels for one row. */
export interface Hung {
  view: View;
  box: Box;
  zoom: number;
}

/**
 * The row in the middle of a pane for a breast beside the other one in the same view, so that both nipples are level.
 * Null: a nipple's height is not known, or one of both breasts would not be whole.
 */
export function levelMiddle(own: Hung, other: Hung, room: number): number | null {
  const [tip, otherTip] = [own.view.preprocessed?.tip_row ?? null, other.view.preprocessed?.tip_row ?? null];
  if (tip === null || otherTip === null) return null;
  const up = Math.max((tip - own.box.y0) * own.zoom, (otherTip - other.box.y0) * other.zoom);
  const down = Math.max((own.box.y1 - tip) * own.zoom, (other.box.y1 - otherTip) * other.zoom);
  return up + down > room + 1 ? null : tip + (down - up) / 2 / own.zoom;
}
