/** Which samples are shown from black to white: presets, and what a drag makes of a window. */

export interface Window {
  center: number;
  width: number;
}

/** The server has applied the file's own window, or stretched a file without one: the default shows that as it is. */
export const PRESETS = ["default", "tissue", "dense", "skin"] as const;
export type Preset = (typeof PRESETS)[number];

export const PRESET_NAMES: Record<Preset, string> = {
  default: "As opened",
  tissue: "Whole breast",
  dense: "Dense tissue",
  skin: "Skin line",
};

/** Windows from an image's own values: the percentiles of what is not background. */
export function presetsOf(
  samples: Uint16Array | Uint8Array,
  asOpened: Window,
  largest: number,
): Record<Preset, Window> {
  const step = Math.max(1, Math.floor(samples.length / 200_000)) | 1;
  const floor = largest * 0.03;
  const tissue: number[] = [];
  for (let at = 0; at < samples.length; at += step) {
    const value = samples[at]!;
    if (value > floor) tissue.push(value);
  }
  tissue.sort((a, b) => a - b);
  const percentile = (share: number) => tissue[Math.min(tissue.length - 1, Math.floor(share * tissue.length))] ?? 0;
  const between = (low: number, high: number): Window => {
    const width = Math.max(high - low, largest * 0.02);
    return { center: low + width / 2, width };
  };
  if (tissue.length === 0) return { default: asOpened, tissue: asOpened, dense: asOpened, skin: asOpened };
  return {
    default: asOpened,
    tissue: between(percentile(0.02), percentile(0.998)),
    dense: between(percentile(0.4), percentile(0.999)),
    skin: between(0, percentile(0.35)),
  };
}

/** Drags a window: right widens, down brightens as the level falls. Values are full-range samples for a pane's width. */
export function draggedWindow(window: { center: number; width: number }, dx: number, dy: number, range: number) {
  const step = Math.max(window.width, range / 50) / 400;
  return {
    width: Math.max(range / 512, window.width + 2 * dx * step),
    center: Math.min(range, Math.max(0, window.center + 2 * dy * step)),
  };
}
