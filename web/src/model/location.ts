/**
 * Where in its breast a finding lies, as far as its views tell it.
 *
 * One view tells the depth from the chest wall and, against the nipple's height, one of two halves: CC outer or inner, MLO
 * upper or lower. Both together tell the quadrant and about the hour. The halves suppose that images stand as they are
 * hung: CC with the outer side up, MLO with the head up.
 */
import type { Side, View } from "./api";
import { fromPreprocessed, type Box } from "./frames";

export type Half = "outer" | "inner" | "upper" | "lower" | "central";
export type Depth = "anterior" | "middle" | "posterior";

export interface Location {
  side: Side | null;
  view: string | null;
  /** Null: the view, or the nipple's height in it, is not known. */
  half: Half | null;
  depth: Depth | null;
  /** How far above the nipple's height, in mm where the spacing is known, else in columns; null: not known. */
  above: number | null;
  isInMm: boolean;
}

/** So near to the nipple's height, as a share of the breast's, neither half is named. */
const CENTRAL = 0.05;
const HALVES: Record<string, readonly [above: Half, below: Half]> = {
  CC: ["outer", "inner"],
  MLO: ["upper", "lower"],
  ML: ["upper", "lower"],
  LM: ["upper", "lower"],
};

export function locationOf(view: View, box: Box): Location {
  const { preprocessed, laterality: side, view: name, spacing, pixel_aspect } = view;
  const unknown = { side, view: name, half: null, depth: null, above: null, isInMm: false };
  if (!preprocessed) return unknown;
  const { columns, rows, from_original: change, tip_row } = preprocessed;
  const inBreast = (((box.x0 + box.x1) / 2) * change.scale_x + change.shift_x) / columns; // the chest wall is left
  const depth: Depth = inBreast < 1 / 3 ? "posterior" : inBreast < 2 / 3 ? "middle" : "anterior";
  const halves = HALVES[name ?? ""];
  if (!halves || tip_row === null || tip_row === undefined) return { ...unknown, depth };
  const height = fromPreprocessed(change, [0, rows])[1] - fromPreprocessed(change, [0, 0])[1];
  const above = tip_row - (box.y0 + box.y1) / 2;
  const half = Math.abs(above) < CENTRAL * height ? "central" : above > 0 ? halves[0] : halves[1];
  return {
    ...unknown,
    half,
    depth,
    above: above * (spacing ? spacing.row_mm : pixel_aspect),
    isInMm: spacing !== null,
  };
}

/** "outer, middle third"; of several views "upper outer, about 2 o'clock, middle third". */
export function locationWords(places: readonly Location[]): string {
  const halves = [...new Set(places.map(({ half }) => half))].filter((half) => half !== null);
  const quadrant = [...halves]
    .sort((a, b) => RANK.indexOf(a) - RANK.indexOf(b))
    .filter((half, _, all) => half !== "central" || all.length === 1);
  const depths = [...new Set(places.map(({ depth }) => depth))].filter((depth) => depth !== null);
  const depth = depths.length === 1 ? `${depths[0]!} third` : depths.length > 1 ? `${depths.join(" to ")} third` : "";
  return [quadrant.join(" "), hourWords(places), depth].filter(Boolean).join(", ");
}

const RANK: readonly Half[] = ["upper", "lower", "outer", "inner", "central"];

/** The hour as one looks at the woman: the outer side of her right breast is at 9, of her left one at 3. */
function hourWords(places: readonly Location[]): string {
  const cc = places.find(({ view, above }) => view === "CC" && above !== null);
  const mlo = places.find(({ view, above }) => view !== "CC" && above !== null);
  if (!cc || !mlo || cc.side === null || cc.side !== mlo.side || cc.isInMm !== mlo.isInMm) return "";
  if (cc.half === "central" && mlo.half === "central") return "";
  const onLeft = Math.round((Math.atan2(cc.above!, mlo.above!) / Math.PI) * 6);
  const hour = cc.side === "LEFT" ? onLeft : -onLeft;
  return `about ${((hour + 11) % 12) + 1} o'clock`;
}
