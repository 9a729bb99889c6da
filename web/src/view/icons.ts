/** The toolbar's pictures, 16 by 16; the words are in each button's name and tooltip. */
import { svg } from "./dom";

/** Stroked paths, and those that are filled. */
const PATHS: Record<string, readonly [stroked: string, filled?: string]> = {
  window: ["M8 2a6 6 0 1 0 0 12a6 6 0 1 0 0-12z", "M8 2a6 6 0 0 1 0 12z"],
  pan: ["M8 1.5v13M1.5 8h13M6 3.5l2-2l2 2M6 12.5l2 2l2-2M3.5 6l-2 2l2 2M12.5 6l2 2l-2 2"],
  zoom: ["M6.5 2a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9zM10 10l4.5 4.5M6.5 4.5v4M4.5 6.5h4"],
  magnify: ["M2 2h9v9h-9zM11 11l3.5 3.5", "M5 5h3v3h-3z"],
  length: ["M1.5 11.5l10-10l3 3l-10 10zM4 9l1.5 1.5M6.5 6.5l1.5 1.5M9 4l1.5 1.5"],
  isInverted: ["M2 2h12v12h-12z", "M2 14l12-12v12z"],
  windowsLinked: ["M6.5 9.5l3-3M7 4.5l1.5-1.5a3 3 0 0 1 4.5 4.5l-1.5 1.5M9 11.5l-1.5 1.5a3 3 0 0 1-4.5-4.5l1.5-1.5"],
  outlines: ["M7 2c3-1 4 2 6 3s1 4 0 6s-4 3-6 2s-5 0-5-4s3-6 5-7z"],
  boxes: ["M2.5 3.5h11v9h-11z"],
  labels: ["M1.5 4h8.5l4 4l-4 4h-8.5z", "M4 7h4v2h-4z"],
};

export function icon(name: keyof typeof PATHS): SVGSVGElement {
  const [stroked, filled] = PATHS[name]!;
  const parts = [
    svg("path", { class: "stroked", d: stroked }),
    ...(filled ? [svg("path", { class: "filled", d: filled })] : []),
  ];
  return svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, ...parts);
}
