/** How large a pixel of this monitor is, as the reader measured it. */

/** A bank card (ISO/IEC 7810, ID-1). */
export const CARD_MM = 85.6;
const KEPT = "mammoscope-monitor-pixels-per-mm";
const [LEAST, MOST] = [1, 60]; // of monitors: 25 to 1500 pixels an inch

/** What of the browser's `localStorage` is used. */
export interface Memory {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** CSS pixels for a millimetre at this zoom of the browser; null: nobody has measured it here. */
export function cssPixelsPerMm(memory: Memory, ratio: number): number | null {
  const kept = Number(memory.getItem(KEPT) ?? Number.NaN);
  return kept >= LEAST && kept <= MOST ? kept / ratio : null;
}

/** Keeps what was measured: so many CSS pixels are as wide as a card. In pixels of the monitor, so that it holds at every zoom. */
export function keepCardWidth(memory: Memory, cssPixels: number, ratio: number): void {
  memory.setItem(KEPT, String(clampedPixels((cssPixels * ratio) / CARD_MM)));
}

const clampedPixels = (value: number) => Math.min(MOST, Math.max(LEAST, value));
