/** The keyboard: one table, which the help sheet shows too. */
import { rowsOf, rowWith } from "../model/findings_table";
import type { Mode, Reading, ToolName } from "../model/reading";
import { PRESETS, draggedWindow } from "../model/windowing";
import type { FindingsPanel } from "./findings_panel";
import type { LifeSize } from "./life_size";
import type { LightBox } from "./lightbox";

export interface Key {
  /** As KeyboardEvent.key says them; upper-case letters want Shift. */
  keys: string[];
  shown: string;
  does: string;
  act: (event: KeyboardEvent) => void;
}

interface Parts {
  reading: Reading;
  lightbox: LightBox;
  findings: FindingsPanel;
  lifeSize: LifeSize;
  help: () => void;
  toggleList: () => void;
  toggleFindings: () => void;
}

const PAN_STEP = 40;
const WINDOW_STEP = 20;
const ZOOM_STEP = 1.25;
const THRESHOLD_STEP = 0.02;
const MODES: Mode[] = ["original", "preprocessed", "both"];

export function keyTable({ reading, lightbox, findings, lifeSize, help, toggleList, toggleFindings }: Parts): Key[] {
  const tool = (name: ToolName) => () => {
    lightbox.active?.tools.cancel();
    reading.change({ tool: name });
  };
  const pane = () => lightbox.active?.pane ?? null;
  const arrow = (right: number, down: number) => () => {
    if (!lightbox.active?.tools.step(right, down, false)) pane()?.pan(-right * PAN_STEP, -down * PAN_STEP);
  };
  const zoom = (factor: number) => () => pane()?.zoomBy(factor);
  const shiftArrow = (right: number, down: number) => () => {
    const target = pane();
    if (!target || lightbox.active?.tools.step(right, down, true)) return;
    const [dx, dy] = [right * WINDOW_STEP, down * WINDOW_STEP];
    const range = target.image?.samples instanceof Uint8Array ? 255 : 65535;
    target.setWindow(draggedWindow(target.window, dx, dy, range));
    target.root.dispatchEvent(new CustomEvent("windowed", { bubbles: true }));
  };
  const threshold = (step: number) => () => {
    const floor = reading.health?.floor ?? 0;
    reading.setThreshold(Math.min(1, Math.max(floor, reading.threshold + step)));
  };
  const next = (step: number) => () => {
    const all = rowsOf(reading).flatMap(({ refs }) => refs);
    const at = all.findIndex((ref) => ref.file === reading.selected?.file && ref.finding === reading.selected.finding);
    const ref = all[(at < 0 ? (step > 0 ? 0 : all.length - 1) : at + step + all.length) % all.length];
    if (ref) findings.show(ref);
  };
  const judge = (verdict: "accepted" | "rejected") => () => {
    const row = reading.selected && rowWith(reading, reading.selected);
    if (row) reading.judge(row.refs, verdict);
  };
  const focus = (place: number) => () => lightbox.panes[place]?.root.focus();
  const key = (keys: string[], shown: string, does: string, act: Key["act"]): Key => ({ keys, shown, does, act });
  return [
    key(["1"], "1 to 4", "go to a view", focus(0)),
    key(["2"], "", "", focus(1)),
    key(["3"], "", "", focus(2)),
    key(["4"], "", "", focus(3)),
    key(["Enter"], "Enter", "one view large, or all again; sets a point at the crosshair; closes a polygon", () => {
      if (lightbox.active?.tools.enter()) return;
      const file = reading.enlarged ?? pane()?.file;
      if (file !== undefined) lightbox.enlarge(file);
    }),
    key(["Escape"], "Esc", "give up a drawing or the crosshair; back to all views", () => {
      if (lightbox.active?.tools.cancel()) return;
      if (reading.enlarged !== null) lightbox.enlarge(null);
      else if (reading.row !== null) lightbox.turnTo(reading.sheet);
      else reading.change({ tool: "window" });
    }),
    key(["PageUp"], "Page Up, Page Down", "sheet before, next sheet", () => lightbox.turnTo(reading.sheet - 1)),
    key(["PageDown"], "", "", () => lightbox.turnTo(reading.sheet + 1)),
    key(
      ["s", " "],
      "S, Space",
      "on in the reading sequence: all views, CC pair, MLO pair, each view (Shift: back)",
      (event) => lightbox.step(event.shiftKey ? -1 : 1),
    ),
    key(["S"], "", "", () => lightbox.step(-1)),
    key(["w", "W"], "W", "window (drag: sideways width, up and down level)", tool("window")),
    key(["p", "P"], "P", "pan (also middle button, or Shift and drag)", tool("pan")),
    key(["z", "Z"], "Z", "zoom (also right button, or the wheel at the pointer)", tool("zoom")),
    key(["m", "M"], "M", "magnifier", tool("magnify")),
    key(["l", "L"], "L", "measure a length (drag; or arrows, Enter at both ends)", tool("length")),
    key(["Backspace"], "Backspace", "remove the last measurement", () => {
      const file = pane()?.file;
      if (file !== undefined) reading.removeLastLength(file);
    }),
    key(
      ["ArrowLeft"],
      "Arrows",
      "pan; while measuring, drawing or magnifying: move the crosshair (Shift: finely)",
      arrow(-1, 0),
    ),
    key(["ArrowRight"], "", "", arrow(1, 0)),
    key(["ArrowUp"], "", "", arrow(0, -1)),
    key(["ArrowDown"], "", "", arrow(0, 1)),
    key(["+", "="], "+ and −", "zoom about the pointer, else the selected finding, else the breast", zoom(ZOOM_STEP)),
    key(["-", "_"], "", "", zoom(1 / ZOOM_STEP)),
    key(["Shift+ArrowLeft"], "Shift and arrows", "window width (sideways) and level (up, down)", shiftArrow(-1, 0)),
    key(["Shift+ArrowRight"], "", "", shiftArrow(1, 0)),
    key(["Shift+ArrowUp"], "", "", shiftArrow(0, -1)),
    key(["Shift+ArrowDown"], "", "", shiftArrow(0, 1)),
    ...PRESETS.map((preset, place) =>
      key(
        [String(5 + place)],
        place === 0 ? "5 to 8" : "",
        place === 0 ? "window presets, as listed above the views" : "",
        () => lightbox.usePreset(preset),
      ),
    ),
    key(["i", "I"], "I", "invert", () => reading.change({ isInverted: !reading.display.isInverted })),
    key(["k", "K"], "K", "window all views together, or one", () =>
      reading.change({ windowsLinked: !reading.display.windowsLinked }),
    ),
    key(["f", "F"], "F", "whole image", () => pane()?.fit()),
    key(["g", "G"], "G", "breasts of all views, at one scale", () => lightbox.fitBreasts()),
    key(["0"], "0", "one pixel of the file on one of the monitor, about the same place", () => pane()?.pixelForPixel()),
    key(["u"], "U", "life size, where the files state their spacing (Shift: measure the monitor again)", () =>
      lifeSize.show(),
    ),
    key(["U"], "", "", () => lifeSize.measure()),
    key(["r", "R"], "R", "reset all views", () => lightbox.resetAll()),
    key(["v", "V"], "V", "original, preprocessed, side by side", () => {
      reading.change({ mode: MODES[(MODES.indexOf(reading.display.mode) + 1) % MODES.length]! });
    }),
    key(["o", "O"], "O", "outlines on, off", () => reading.change({ outlines: !reading.display.outlines })),
    key(["b", "B"], "B", "boxes on, off", () => reading.change({ boxes: !reading.display.boxes })),
    key(["t", "T"], "T", "labels on, off", () => reading.change({ labels: !reading.display.labels })),
    key(["["], "[ and ]", "detection threshold down, up", threshold(-THRESHOLD_STEP)),
    key(["]"], "", "", threshold(THRESHOLD_STEP)),
    key(["n"], "N", "next finding of the table (Shift: the one before)", next(1)),
    key(["N"], "", "", next(-1)),
    key(["a", "A"], "A", "accept the selected finding, in all views that show it", judge("accepted")),
    key(["x", "X"], "X", "reject it", judge("rejected")),
    key(
      ["d", "D"],
      "D",
      "draw a missed finding as a polygon (click points; or arrows, Enter at each, twice at the last)",
      tool("polygon"),
    ),
    key(["h", "H"], "H", "draw a missed finding freehand", tool("freehand")),
    key(["e", "E"], "E", "show or hide the list of exams", toggleList),
    key(["q", "Q"], "Q", "show or hide findings and record", toggleFindings),
    key(["?"], "?", "this sheet", help),
  ];
}

/** Listens to the whole page, but leaves alone what is typed into a field or meant for a button. */
export function listen(table: readonly Key[], isBlocked: () => boolean): void {
  const byKey = new Map(table.flatMap((entry) => entry.keys.map((name) => [name, entry] as const)));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isBlocked()) return;
    const target = event.target instanceof HTMLElement ? event.target : null;
    if (target?.closest("input:not([type=range]), textarea, select")) return;
    if (target?.closest("button, input, summary, a") && ["Enter", " "].includes(event.key)) return;
    const isSliderKey = ["Home", "End", "PageUp", "PageDown"].includes(event.key) || event.key.startsWith("Arrow");
    if (target?.closest("input") && isSliderKey) return;
    const name = event.shiftKey && event.key.startsWith("Arrow") ? `Shift+${event.key}` : event.key;
    const entry = byKey.get(name);
    if (!entry) return;
    event.preventDefault();
    entry.act(event);
  });
}
