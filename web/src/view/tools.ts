/** What pointer and keyboard do on a pane: window, pan, zoom, measure, magnify, draw. */
import type { Point } from "../model/api";
import { toOriginal } from "../model/frames";
import type { ToolName } from "../model/reading";
import { draggedWindow } from "../model/windowing";
import { Crosshair } from "./crosshair";
import { Magnifier } from "./magnifier";
import type { Pane } from "./pane";

interface Drag {
  tool: ToolName;
  pointer: number;
  start: Point;
  last: Point;
  hasMoved: boolean;
}

const CLICK_SLACK = 4;
const LEAST_POINTS = 3;
const MOST_POINTS = 1000;

export class PaneTools {
  private drag: Drag | null = null;
  private readonly magnifier: Magnifier;
  private readonly crosshair: Crosshair;

  constructor(
    private readonly pane: Pane,
    private readonly enlarge: () => void,
    say: (text: string) => void,
  ) {
    this.magnifier = new Magnifier(pane);
    this.crosshair = new Crosshair(pane, (kind, points) => this.keep(kind, points), say);
    const { root } = pane;
    root.addEventListener("pointerdown", (event) => this.down(event));
    root.addEventListener("pointermove", (event) => this.move(event));
    root.addEventListener("pointerleave", () => (pane.pointer = null));
    root.addEventListener("pointerup", (event) => this.up(event));
    root.addEventListener("pointercancel", () => this.cancel());
    root.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    root.addEventListener("dblclick", () => this.doubleClick());
    root.addEventListener("contextmenu", (event) => event.preventDefault());
    root.addEventListener("focus", () => pane.reading.activate(pane.file));
    // A window that loses the focus keeps its focused pane; a pane that loses it gives the crosshair up.
    root.addEventListener("blur", () => this.crosshair.isShown && document.activeElement !== root && this.cancel());
  }

  /** Ends what is being drawn; true: there was something. */
  cancel(): boolean {
    const was = this.drag !== null || this.pane.overlay.draft !== null || this.crosshair.isShown;
    this.drag = null;
    this.pane.overlay.draft = null;
    this.crosshair.hide();
    this.pane.overlay.drawWork();
    this.magnifier.hide();
    return was;
  }

  /** Moves the keyboard's crosshair; false: the tool has none. */
  step(right: number, down: number, isFine: boolean): boolean {
    if (!this.crosshair.move(right, down, isFine)) return false;
    const { place } = this.crosshair;
    if (place && this.pane.reading.display.tool === "magnify") this.magnifier.show(place);
    return true;
  }

  /** Enter: a point where the crosshair is, else the end of a polygon; false: it means something else. */
  enter(): boolean {
    return this.crosshair.set() || this.finish();
  }

  private keep(kind: "length" | "outline", points: readonly Point[]): void {
    if (kind === "length") this.pane.reading.addLength(this.pane.file, points[0]!, points[1]!);
    else {
      const outline = thinned(points);
      if (outline.length >= LEAST_POINTS) this.pane.reading.addDrawn(this.pane.file, outline);
    }
  }

  /** Closes the polygon that is being drawn. */
  finish(): boolean {
    const { draft } = this.pane.overlay;
    if (draft?.kind !== "outline") return false;
    this.cancel();
    this.keep("outline", draft.points);
    return true;
  }

  private at(event: MouseEvent): Point {
    const bounds = this.pane.root.getBoundingClientRect();
    return [event.clientX - bounds.left, event.clientY - bounds.top];
  }

  private original(at: Point): Point | null {
    const { map } = this.pane;
    return map && this.pane.inside(toOriginal(map, at));
  }

  private down(event: PointerEvent): void {
    this.pane.root.focus({ preventScroll: true });
    this.pane.reading.activate(this.pane.file);
    if (!this.pane.image) return;
    this.crosshair.hide();
    const chosen = this.pane.reading.display.tool;
    const tool: ToolName = event.button === 1 || event.shiftKey ? "pan" : event.button === 2 ? "zoom" : chosen;
    const at = this.at(event);
    this.pane.root.setPointerCapture(event.pointerId);
    event.preventDefault();
    this.drag = { tool, pointer: event.pointerId, start: at, last: at, hasMoved: false };
    const point = this.original(at);
    if (!point) return;
    const { overlay } = this.pane;
    if (tool === "magnify") this.magnifier.show(at);
    else if (tool === "length") overlay.draft = { kind: "length", points: [point, point] };
    else if (tool === "freehand") overlay.draft = { kind: "outline", points: [point] };
    else if (tool === "polygon") {
      if (overlay.draft?.kind === "outline") overlay.draft.points.push(point);
      else overlay.draft = { kind: "outline", points: [point] };
    }
    overlay.drawWork();
  }

  private move(event: PointerEvent): void {
    const { drag, pane } = this;
    const at = this.at(event);
    pane.pointer = at;
    if (!drag || drag.pointer !== event.pointerId) return;
    const [dx, dy] = [at[0] - drag.last[0], at[1] - drag.last[1]];
    drag.hasMoved ||= Math.hypot(at[0] - drag.start[0], at[1] - drag.start[1]) > CLICK_SLACK;
    drag.last = at;
    if (!drag.hasMoved) return;
    const point = this.original(at);
    const { draft } = pane.overlay;
    if (drag.tool === "pan") pane.pan(dx, dy);
    else if (drag.tool === "zoom") pane.zoomAt(drag.start[0], drag.start[1], Math.exp(-dy / 150));
    else if (drag.tool === "window") this.dragWindow(dx, dy);
    else if (drag.tool === "magnify") this.magnifier.show(at);
    else if (drag.tool === "length" && draft && point) draft.points[1] = point;
    else if (drag.tool === "freehand" && draft && point) draft.points.push(point);
    if (draft) pane.overlay.drawWork();
  }

  private dragWindow(dx: number, dy: number): void {
    const { pane } = this;
    const range = pane.image?.samples instanceof Uint8Array ? 255 : 65535;
    pane.setWindow(draggedWindow(pane.window, dx, dy, range));
    pane.root.dispatchEvent(new CustomEvent("windowed", { bubbles: true }));
  }

  private up(event: PointerEvent): void {
    const { drag, pane } = this;
    if (!drag || drag.pointer !== event.pointerId) return;
    this.drag = null;
    this.magnifier.hide();
    const { draft } = pane.overlay;
    if (drag.tool === "length" && draft) {
      if (drag.hasMoved) this.keep("length", draft.points);
      this.cancel();
    } else if (drag.tool === "freehand") this.finish();
    else if (!drag.hasMoved && event.button === 0 && drag.tool !== "polygon") this.pick(drag.start);
  }

  /** A click on a finding selects it. */
  private pick(at: Point): void {
    const point = this.original(at);
    if (!point) return;
    const { reading, file } = this.pane;
    const hit = reading.shown(file).find(({ finding: { box } }) => {
      return point[0] >= box.x0 && point[0] <= box.x1 && point[1] >= box.y0 && point[1] <= box.y1;
    });
    reading.select(hit ? { file, finding: hit.index } : null);
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    const [x, y] = this.at(event);
    this.pane.zoomAt(x, y, Math.exp(-event.deltaY / 400));
  }

  private doubleClick(): void {
    const { tool } = this.pane.reading.display;
    if (tool === "polygon") this.finish();
    else if (tool !== "length" && tool !== "freehand") this.enlarge();
  }
}

/** At most so many points, and none twice in a row. */
export function thinned(points: readonly Point[]): Point[] {
  const distinct = points.filter((point, index) => {
    const before = points[index - 1];
    return !before || Math.hypot(point[0] - before[0], point[1] - before[1]) > 0.5;
  });
  const step = Math.ceil(distinct.length / MOST_POINTS);
  return distinct.filter((_, index) => index % step === 0);
}
