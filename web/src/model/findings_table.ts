/** The table of findings: which rows it has, in which order, and what stands in them. */
import type { Finding, FindingKind, Point, View } from "./api";
import { distance } from "./frames";
import { title } from "./hanging";
import { locationOf, locationWords } from "./location";
import type { FindingRef, Reading } from "./reading";

/** A finding, or the findings of several views that the models take for one lesion. */
export interface Row {
  key: string;
  refs: readonly FindingRef[];
}

export interface Length {
  value: number;
  unit: string;
}

const keyOf = (refs: readonly FindingRef[]) => refs.map(({ file, finding }) => `${file}/${finding}`).join("+");

/** Rows of what is shown, most suspicious first: the chance of a finding times that it is malignant, if it is one. */
export function rowsOf(reading: Reading): Row[] {
  const groups = new Map<string, FindingRef[]>();
  for (const ref of reading.allShown) {
    const group = reading.finding(ref)?.lesion ?? keyOf([ref]);
    groups.set(group, [...(groups.get(group) ?? []), ref]);
  }
  const rows = [...groups.values()].map((refs) => ({ key: keyOf(refs), refs }));
  if (reading.order === "where") return rows; // they come as they hang
  const rank = (row: Row) => Math.max(...row.refs.map((ref) => rankOf(reading, ref)));
  return rows
    .map((row) => ({ row, rank: rank(row) }))
    .sort((a, b) => b.rank - a.rank)
    .map(({ row }) => row);
}

function rankOf(reading: Reading, ref: FindingRef): number {
  const finding = reading.finding(ref)!;
  const { detection_score: detection, malignancy_score: malignancy } = finding;
  if (reading.order === "detection") return detection;
  if (reading.order === "malignancy") return malignancy ?? -1;
  if (reading.order === "size") return sizeOf(finding, reading.file(ref.file)?.view ?? null)?.value ?? 0;
  return detection * (malignancy ?? 1); // what is not graded is not pushed to the end
}

/** The largest length within a finding: as the server measured it in mm, else in pixels, which is said. */
export function sizeOf(finding: Finding, view: View | null): Length | null {
  const longest = finding.size.longest_diameter_mm;
  if (longest !== null) return { value: longest, unit: "mm" };
  return finding.outline.length > 2 ? longestIn(finding.outline, view) : null;
}

export function longestIn(outline: readonly Point[], view: View | null): Length {
  let longest: Length = { value: 0, unit: view?.spacing ? "mm" : "px" };
  for (const [place, one] of outline.entries()) {
    for (const other of outline.slice(place + 1)) {
      const between = distance(one, other, view?.pixel_aspect ?? 1, view?.spacing ?? null);
      if (between.value > longest.value) longest = between;
    }
  }
  return longest;
}

export const lengthWords = (length: Length | null) =>
  length === null ? "?" : `${length.value.toFixed(length.unit === "mm" ? 1 : 0)} ${length.unit}`;

/** "R CC"; of several views "R CC, R MLO". */
export const viewsWords = (reading: Reading, refs: readonly FindingRef[]) =>
  refs.map(({ file }) => title(reading.file(file)?.view ?? null)).join(", ");

/** "upper outer, about 10 o'clock, middle third"; empty: nothing is known. */
export function placeWords(reading: Reading, refs: readonly FindingRef[]): string {
  const places = refs.flatMap((ref) => {
    const view = reading.file(ref.file)?.view;
    const finding = reading.finding(ref);
    return view && finding ? [locationOf(view, finding.box)] : [];
  });
  return locationWords(places);
}

/** What a size is of and how large the area is, or why neither is known. */
export function sizeWords(finding: Finding, kind: FindingKind, size: Length | null = null): string {
  const { longest_diameter_mm: longest, area_mm2: area, unknown_because: reason } = finding.size;
  const known = [
    longest === null ? "" : `${longest.toFixed(1)} mm ${kind.longest}`,
    area === null ? "" : `${area.toFixed(0)} mm²`,
  ];
  const inMm = known.filter(Boolean).join(", ");
  if (inMm) return inMm;
  return `${size ? `${lengthWords(size)} ${kind.longest}; ` : ""}size${size ? " in mm" : ""} not known${reason ? `: ${reason}` : ""}`;
}

/** The findings that are one lesion with this one, itself among them, as its row has them. */
export const rowWith = (reading: Reading, { file, finding }: FindingRef): Row | null =>
  rowsOf(reading).find(({ refs }) => refs.some((ref) => ref.file === file && ref.finding === finding)) ?? null;
