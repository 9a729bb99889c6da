/** The keyboard's pointer on a pane: arrows move it, Enter sets points of a length or an outline, Escape gives it up. */
import type { Point } from "../model/api";
import { clamp, distance, toOriginal, toScreen } from "../model/frames";
import type { ToolName } from "../model/reading";
import type { Pane } from "./pane";

/** CSS pixels that an arrow moves it, alone and with Shift. */
const STEP = 12;
const FINE_STEP = 1;
/** The image follows a crosshair that comes so near to the pane's edge, in CSS pixels. */
const MARGIN = 24;

const DRAWING: readonly ToolName[] = ["polygon", "freehand"];
const START: Partial<Record<ToolName, string>> = {
  length: "Enter sets the start of the length.",
  polygon: "Enter sets the first point of the outline.",
  freehand: "Enter sets the first point of the outline.",
  magnify: "The magnifier follows.",
};

export class Crosshair {
  private at: Point | null = null;

  constructor(
    private readonly pane: Pane,
    /** Takes a length or an outline that is finished. */
    private readonly done: (kind: "length" | "outline", points: Point[]) => void,
    private readonly say: (text: string) => void,
  ) {}

  get isShown(): boolean {
    return this.at !== null;
  }

  /** In CSS pixels of the pane. */
  get place(): Point | null {
    const { map } = this.pane;
    return this.at && map && toScreen(map, this.at);
  }

  /** Shows it, or moves it by steps; false: the tool has no use for it. */
  move(right: number, down: number, isFine: boolean): boolean {
    const { pane } = this;
    const { tool } = pane.reading.display;
    const { map } = pane;
    if (!map || !pane.image || !START[tool]) return false;
    const { width, height } = pane.size;
    const [x, y] = this.place ?? [width / 2, height / 2];
    const step = this.at ? (isFine ? FINE_STEP : STEP) : 0;
    const moved = pane.inside(toOriginal(map, [x + right * step, y + down * step]));
    const isNew = this.at === null;
    this.put(moved);
    this.follow();
    const { draft } = pane.overlay;
    if (draft?.kind === "length") {
      draft.points[1] = moved;
      this.say(this.length([draft.points[0]!, moved]));
    } else
      this.say(
        isNew ? `Crosshair in the middle. Arrows move it, with Shift finely. ${START[tool]}` : this.where(moved),
      );
    pane.overlay.drawWork();
    return true;
  }

  /** Sets a point where it is; false: there is no crosshair. */
  set(): boolean {
    const { at, pane } = this;
    if (!at) return false;
    const { tool } = pane.reading.display;
    const { overlay } = pane;
    if (tool === "length") {
      if (overlay.draft?.kind === "length") this.finish("length", [overlay.draft.points[0]!, at]);
      else {
        overlay.draft = { kind: "length", points: [at, at] };
        this.say(`Start set at ${this.where(at)}. Enter sets the end.`);
      }
    } else if (DRAWING.includes(tool)) this.setCorner(at);
    overlay.drawWork();
    return true;
  }

  hide(): void {
    if (!this.at) return;
    this.put(null);
    this.say("");
  }

  /** A point twice in a row closes the outline, as a double click does. */
  private setCorner(at: Point): void {
    const { overlay } = this.pane;
    const points = overlay.draft?.kind === "outline" ? overlay.draft.points : [];
    const last = points.at(-1);
    if (last && last[0] === at[0] && last[1] === at[1]) {
      if (points.length > 2) this.finish("outline", points);
      else this.say("An outline needs three points.");
      return;
    }
    overlay.draft = { kind: "outline", points: [...points, at] };
    const count = points.length + 1;
    this.say(`Point ${count} set at ${this.where(at)}.${count > 2 ? " Enter once more closes the outline." : ""}`);
  }

  private finish(kind: "length" | "outline", points: Point[]): void {
    this.pane.overlay.draft = null;
    this.done(kind, points);
    this.say(kind === "length" ? `Measured: ${this.length(points)}.` : `Outline of ${points.length} points drawn.`);
  }

  private put(at: Point | null): void {
    this.at = this.pane.overlay.crosshair = at;
  }

  private follow(): void {
    const { pane, place } = this;
    if (!place) return;
    const { width, height } = pane.size;
    const [dx, dy] = [
      clamp(place[0], MARGIN, width - MARGIN) - place[0],
      clamp(place[1], MARGIN, height - MARGIN) - place[1],
    ];
    if (dx === 0 && dy === 0) return;
    pane.pan(dx, dy);
    const { map, place: now } = { map: pane.map, place: this.place };
    // The pane keeps tissue in sight, so it may not have followed all the way.
    if (map && now) this.put(pane.inside(toOriginal(map, [clamp(now[0], 0, width), clamp(now[1], 0, height)])));
  }

  private where = ([x, y]: Point) => `column ${x.toFixed(0)}, row ${y.toFixed(0)}`;

  private length(points: readonly Point[]): string {
    const { pixel_aspect, spacing } = this.pane.view;
    const { value, unit } = distance(points[0]!, points[1]!, pixel_aspect, spacing);
    return `${value.toFixed(unit === "mm" ? 1 : 0)} ${unit}`;
  }
}
