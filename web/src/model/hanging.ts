/** How the views of an exam are hung: R CC | L CC over R MLO | L MLO, chest walls together in the middle. */
import type { ExamFile, Side, View } from "./api";
import type { Wall } from "./frames";

export interface Place {
  /** Number of the file; null: this place of the hanging is empty. */
  file: number | null;
  row: number;
  column: number;
  /** What hangs here, or what is missing. */
  title: string;
}

export interface Sheet {
  rows: number;
  columns: number;
  places: Place[];
  /** Of CC and MLO views, which hang in pairs. */
  isStandard: boolean;
}

const SIDES: Side[] = ["RIGHT", "LEFT"];
const VIEWS = ["CC", "MLO"];
const PER_SHEET = 4;

/** Sheets of at most four views: the standard ones first, what is left in grids. `isWhole`: no view is still to come. */
export function hang(files: readonly ExamFile[], isWhole: boolean): Sheet[] {
  const shown = files.filter((file) => file.view !== null);
  const expected = isWhole ? shown.length : files.filter((file) => file.state !== "failed").length;
  const standard = new Map<string, ExamFile>();
  for (const file of shown) {
    const key = standardKey(file.view);
    if (key !== null && !standard.has(key)) standard.set(key, file);
  }
  const rest = shown.filter((file) => ![...standard.values()].includes(file));
  const sheets: Sheet[] = [];
  if (standard.size > 0) sheets.push(standardSheet(standard, !isWhole && expected > shown.length));
  for (let at = 0; at < rest.length; at += PER_SHEET) sheets.push(grid(rest.slice(at, at + PER_SHEET)));
  return sheets;
}

/** A step of the reading sequence: what of a sheet is shown. */
export interface Step {
  sheet: number;
  /** The only row that is shown; null: all are. */
  row: number | null;
  /** The only file that is shown; null: all are. */
  file: number | null;
  words: string;
}

/** As screening is read: all views, the CC pair, the MLO pair, then each view alone. */
export function sequence(sheets: readonly Sheet[]): Step[] {
  return sheets.flatMap((sheet, number): Step[] => {
    const shown = sheet.places.filter(({ file }) => file !== null);
    const step = (row: number | null, file: number | null, words: string): Step => ({
      sheet: number,
      row,
      file,
      words,
    });
    const all = step(
      null,
      null,
      shown.length === 1 ? shown[0]!.title : sheets.length > 1 ? `sheet ${number + 1}` : "all views",
    );
    if (shown.length < 2) return [all];
    const isSquare = sheet.rows === 2 && sheet.columns === 2 && sheet.isStandard;
    const pairs = isSquare ? VIEWS.map((view, row) => step(row, null, `${view} pair`)) : [];
    return [all, ...pairs, ...shown.map(({ file, title }) => step(null, file, title))];
  });
}

/** The same sheet in one row: CC pair beside MLO pair. */
export const inOneRow = (sheet: Sheet): Sheet => ({
  ...sheet,
  rows: 1,
  columns: sheet.rows * sheet.columns,
  places: sheet.places.map((place) => ({ ...place, row: 0, column: place.row * sheet.columns + place.column })),
});

function standardKey(view: View | null): string | null {
  return view?.laterality && view.view && VIEWS.includes(view.view) ? `${view.laterality} ${view.view}` : null;
}

function standardSheet(files: Map<string, ExamFile>, isFilling: boolean): Sheet {
  const has = (side: Side, view: string) => files.has(`${side} ${view}`);
  const sides = SIDES.filter((side) => isFilling || VIEWS.some((view) => has(side, view)));
  const views = VIEWS.filter((view) => isFilling || SIDES.some((side) => has(side, view)));
  const places = views.flatMap((view, row) =>
    sides.map((side, column) => ({
      file: files.get(`${side} ${view}`)?.number ?? null,
      row,
      column,
      title: `${side[0]} ${view}`,
    })),
  );
  if (sides.length === 1 && views.length === 2) {
    // One breast: both views side by side.
    return {
      rows: 1,
      columns: 2,
      places: places.map((place) => ({ ...place, row: 0, column: place.row })),
      isStandard: true,
    };
  }
  return { rows: views.length, columns: sides.length, places, isStandard: true };
}

function grid(files: ExamFile[]): Sheet {
  const columns = files.length > 1 ? 2 : 1;
  return {
    rows: Math.ceil(files.length / columns),
    columns,
    places: files.map((file, index) => ({
      file: file.number,
      row: Math.floor(index / columns),
      column: index % columns,
      title: title(file.view),
    })),
    isStandard: false,
  };
}

/** "L CC"; what is not known is left out. */
export function title(view: View | null): string {
  return [view?.laterality?.[0], view?.view].filter(Boolean).join(" ") || "unknown view";
}

/** At which edge of its pane a breast's chest wall hangs; null: not known, as in the file. */
export function wallInPane(side: Side | null): Wall | null {
  return side === null ? null : side === "RIGHT" ? "right" : "left";
}

/** At which edge of the file the chest wall is; from the preprocessing where it is done, else from the pixels. */
export function wallInFile(view: View, pixels: Uint16Array): Wall {
  if (view.preprocessed) return view.preprocessed.from_original.scale_x < 0 ? "right" : "left";
  return brighterEdge(pixels, view.rows, view.columns);
}

/** The side with more tissue: that is where the chest wall is. */
export function brighterEdge(pixels: Uint16Array, rows: number, columns: number): Wall {
  const step = Math.max(1, Math.floor(Math.min(rows, columns) / 200));
  const third = Math.floor(columns / 3);
  let [left, right] = [0, 0];
  for (let y = 0; y < rows; y += step) {
    const row = y * columns;
    for (let x = 0; x < third; x += step) {
      left += pixels[row + x] ?? 0;
      right += pixels[row + columns - 1 - x] ?? 0;
    }
  }
  return right > left ? "right" : "left";
}

/** Whether the display mirrors the file. */
export function isFlipped(view: View, wall: Wall): boolean {
  const wanted = wallInPane(view.laterality);
  return wanted !== null && wanted !== wall;
}

/** Files in the order in which they are read: as they hang, then as they came. */
export function readingOrder(files: readonly ExamFile[]): ExamFile[] {
  const rank = ({ view }: ExamFile) => {
    const row = VIEWS.indexOf(view?.view ?? "");
    const column = view?.laterality ? SIDES.indexOf(view.laterality) : -1;
    return row < 0 || column < 0 ? VIEWS.length * SIDES.length : row * SIDES.length + column;
  };
  return [...files].sort((a, b) => rank(a) - rank(b) || a.number - b.number);
}
