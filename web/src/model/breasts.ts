/** The breasts of the exam that is open, and the scale at which they hang. */
import type { Box } from "./frames";
import type { Reading } from "./reading";
import { breastIn, scaleOf, type Scale } from "./scale";

export const hasNoBreast = (reading: Reading, file: number) => reading.analysis(file)?.outcome === "no_breast_found";

/** Where the breast of a file is; null: not known, or there is none. */
export function breastOf(reading: Reading, file: number): Box | null {
  const view = reading.file(file)?.view;
  return view && !hasNoBreast(reading, file) ? breastIn(view, reading.view(file).tissue) : null;
}

/** At which all views hang; null: no breast is known. */
export function scaleIn(reading: Reading): Scale | null {
  return scaleOf(
    reading.files.flatMap(({ number, view }) => {
      const box = view && breastOf(reading, number);
      return view && box ? [{ view, box }] : [];
    }),
  );
}

/** The file of the other breast in the same view; null: there is none. */
export function oppositeOf(reading: Reading, file: number): number | null {
  const view = reading.file(file)?.view;
  if (!view?.laterality || !view.view) return null;
  const other = reading.files.find(
    (one) => one.view?.view === view.view && one.view.laterality && one.view.laterality !== view.laterality,
  );
  return other?.number ?? null;
}
