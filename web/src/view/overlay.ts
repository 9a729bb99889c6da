/** Findings, measurements and drawings over one pane: an SVG layer in register with the image below it. */
import type { Analysis, Finding, FindingKind, Point, Spacing, Verdict } from "../model/api";
import { distance, toScreen, type ScreenMap, type Size } from "../model/frames";
import { kindOf } from "../model/kinds";
import { malignancyWords } from "../model/malignancy";
import type { Reading } from "../model/reading";
import { svg } from "./dom";

const TYPE_SIZE = 12;
const LABEL_HEIGHT = 20;

interface Mark {
  index: number;
  finding: Finding;
  shapes: SVGGElement;
  label: Label;
}

type Rectangle = readonly [x0: number, y0: number, x1: number, y1: number];

/** What the pointer is about to make: open while it is drawn. */
export interface Draft {
  kind: "length" | "outline";
  points: Point[];
}

export class Overlay {
  readonly root = svg("svg", { class: "overlay", "aria-hidden": "true" });
  private readonly shapes = svg("g");
  private readonly labels = svg("g");
  private readonly work = svg("g");
  private marks: Mark[] = [];
  private analysis: Analysis | null = null;
  private isNarrow = false;
  private isPlaced = false;
  private map: ScreenMap = { a: 1, c: 0, d: 1, f: 0 };
  private pane: Size = { width: 0, height: 0 };
  draft: Draft | null = null;
  /** The keyboard's pointer, frame original. */
  crosshair: Point | null = null;

  constructor(
    private readonly reading: Reading,
    private readonly file: number,
    private readonly aspect: number,
    private readonly spacing: Spacing | null,
  ) {
    this.root.append(this.shapes, this.labels, this.work);
  }

  /** Puts everything where the image now is. */
  place(map: ScreenMap, pane: Size): void {
    this.map = map;
    if (pane.width !== this.pane.width || pane.height !== this.pane.height) {
      this.root.setAttribute("viewBox", `0 0 ${pane.width} ${pane.height}`);
    }
    this.pane = pane;
    const matrix = `matrix(${map.a} 0 0 ${map.d} ${map.c} ${map.f})`;
    if (this.shapes.getAttribute("transform") !== matrix) this.shapes.setAttribute("transform", matrix);
    else if (this.isPlaced) return;
    this.isPlaced = true;
    if (this.isNarrow !== pane.width < 460) this.rebuild();
    this.placeLabels();
    this.drawWork();
  }

  /** Takes up what changed of the findings, the threshold, the verdicts and the switches. */
  update(): void {
    if (this.analysis !== this.reading.analysis(this.file)) this.rebuild();
    const { display, threshold } = this.reading;
    this.shapes.setAttribute("opacity", String(display.opacity));
    this.labels.setAttribute("opacity", String(display.opacity));
    this.shapes.classList.toggle("no-outlines", !display.outlines);
    this.shapes.classList.toggle("no-boxes", !display.boxes);
    for (const mark of this.marks) {
      const isShown = mark.finding.detection_score >= threshold;
      const isSelected = this.reading.isSelected({ file: this.file, finding: mark.index });
      const verdict = this.reading.verdict({ file: this.file, finding: mark.index });
      show(mark.shapes, isShown);
      for (const part of [mark.shapes, mark.label.root]) {
        part.classList.toggle("selected", isSelected);
        part.classList.toggle("rejected", verdict === "rejected");
      }
      mark.label.judge(verdict);
    }
    this.placeLabels();
    this.drawWork();
  }

  private rebuild(): void {
    this.analysis = this.reading.analysis(this.file);
    this.isNarrow = this.pane.width < 460;
    this.marks = (this.analysis?.findings ?? []).map((finding, index) => {
      const kind = kindOf(this.reading.health, finding);
      const label = new Label(index + 1, finding, kind, this.analysis!.thresholds.malignancy, this.isNarrow);
      return { index, finding, shapes: shapesOf(finding, kind, index), label };
    });
    // The surest on top.
    this.shapes.replaceChildren(...this.marks.map((mark) => mark.shapes).reverse());
    this.labels.replaceChildren(...this.marks.map((mark) => mark.label.root).reverse());
    this.update();
  }

  private placeLabels(): void {
    const { display, threshold } = this.reading;
    const isShown = ({ finding }: Mark) => finding.detection_score >= threshold;
    const boxes = this.marks.filter(isShown).map((mark) => ({ mark, box: this.onScreen(mark.finding) }));
    const labels: Rectangle[] = [];
    const isSelected = (mark: Mark) => this.reading.isSelected({ file: this.file, finding: mark.index });
    for (const mark of [...this.marks].sort((a, b) => Number(isSelected(b)) - Number(isSelected(a)))) {
      const { finding, label } = mark;
      // A label hides neither another label nor another finding.
      const taken = [...labels, ...boxes.flatMap((each) => (each.mark === mark ? [] : [each.box]))];
      const place = display.labels && isShown(mark) ? this.labelPlace(finding, label, taken) : null;
      show(label.root, place !== null);
      if (!place) continue;
      labels.push([place[0], place[1], place[0] + label.width, place[1] + LABEL_HEIGHT]);
      label.root.setAttribute("transform", `translate(${Math.round(place[0])} ${Math.round(place[1])})`);
    }
  }

  /**
   * Above the box, else below it, else a little further; where there is no room, the number alone at the box's corner.
   * Null: the box is out of sight.
   */
  private labelPlace(finding: Finding, label: Label, taken: readonly Rectangle[]): Point | null {
    const [x0, y0, x1, y1] = this.onScreen(finding);
    if (x1 < 0 || x0 > this.pane.width || y1 < 0 || y0 > this.pane.height) return null;
    label.makeWhole(true);
    const inside = (x: number) => Math.min(Math.max(2, x), Math.max(2, this.pane.width - label.width - 2));
    const pitch = LABEL_HEIGHT + 2;
    const rows = [0, 1, 2].flatMap((step) => [y0 - 4 - LABEL_HEIGHT - step * pitch, y1 + 4 + step * pitch]);
    const isFree = (x: number, y: number) =>
      y >= 2 &&
      y + LABEL_HEIGHT <= this.pane.height - 2 &&
      taken.every(([tx0, ty0, tx1, ty1]) => x + label.width < tx0 || x > tx1 || y + LABEL_HEIGHT < ty0 || y > ty1);
    const y = rows.find((row) => isFree(inside(x0), row));
    if (y !== undefined) return [inside(x0), y];
    label.makeWhole(false);
    return [inside(x0), Math.min(Math.max(2, y0), this.pane.height - LABEL_HEIGHT - 2)];
  }

  private onScreen({ box }: Finding): Rectangle {
    const [ax, ay] = toScreen(this.map, [box.x0, box.y0]);
    const [bx, by] = toScreen(this.map, [box.x1, box.y1]);
    return [Math.min(ax, bx), ay, Math.max(ax, bx), by];
  }

  drawWork(): void {
    const parts: SVGElement[] = [];
    this.reading.drawn.forEach(({ file, outline }, index) => {
      if (file !== this.file) return;
      const points = outline.map((point) => toScreen(this.map, point));
      parts.push(svg("polygon", { class: "rim", points: listed(points) }));
      parts.push(svg("polygon", { class: "drawn", points: listed(points) }));
      const top = points.reduce((best, point) => (point[1] < best[1] ? point : best));
      parts.push(halo(`drawn ${index + 1}`, top[0], top[1] - 8));
    });
    const lengths = this.reading.lengths.filter(({ file }) => file === this.file).map(({ ends }) => ends);
    if (this.draft?.kind === "length" && this.draft.points.length === 2)
      lengths.push([this.draft.points[0]!, this.draft.points[1]!]);
    for (const [a, b] of lengths) {
      const [from, to] = [toScreen(this.map, a), toScreen(this.map, b)];
      const line = { x1: from[0], y1: from[1], x2: to[0], y2: to[1] };
      parts.push(svg("line", { class: "rim", ...line }), svg("line", { class: "length", ...line }));
      for (const [x, y] of [from, to]) parts.push(svg("circle", { class: "length", cx: x, cy: y, r: 3 }));
      const { value, unit } = distance(a, b, this.aspect, this.spacing);
      parts.push(halo(`${value.toFixed(unit === "mm" ? 1 : 0)} ${unit}`, to[0] + 8, to[1] - 6));
    }
    if (this.draft?.kind === "outline") {
      const points = this.draft.points.map((point) => toScreen(this.map, point));
      parts.push(svg("polyline", { class: "rim", points: listed(points) }));
      parts.push(svg("polyline", { class: "drawn", points: listed(points) }));
      for (const [x, y] of points.slice(0, 1)) parts.push(svg("circle", { class: "drawn", cx: x, cy: y, r: 4 }));
    }
    if (this.crosshair) parts.push(...cross(toScreen(this.map, this.crosshair)));
    this.work.replaceChildren(...parts);
  }
}

const listed = (points: readonly Point[]) => points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");

/** Two lines that leave their crossing free. */
function cross([x, y]: Point): SVGElement[] {
  const arms = [
    [-18, 0, -4, 0],
    [4, 0, 18, 0],
    [0, -18, 0, -4],
    [0, 4, 0, 18],
  ] as const;
  const lines = arms.map(([x1, y1, x2, y2]) => ({ x1: x + x1, y1: y + y1, x2: x + x2, y2: y + y2 }));
  return ["rim", "crosshair"].flatMap((name) => lines.map((line) => svg("line", { class: name, ...line })));
}

function halo(text: string, x: number, y: number): SVGTextElement {
  const made = svg("text", { class: "note", x, y });
  made.textContent = text;
  return made;
}

function shapesOf(finding: Finding, kind: FindingKind, index: number): SVGGElement {
  const group = svg("g", { class: finding.malignancy ?? "ungraded", "data-finding": index });
  if (kind.outlined && finding.outline.length > 2) {
    const points = finding.outline.map(([x, y]) => `${x},${y}`).join(" ");
    group.append(svg("polygon", { class: "outline rim", points }), svg("polygon", { class: "outline", points }));
  }
  const { x0, y0, x1, y1 } = finding.box;
  const box = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
  group.append(svg("rect", { class: "box rim", ...box }), svg("rect", { class: "box", ...box }));
  return group;
}

const ruler = typeof OffscreenCanvas === "undefined" ? null : new OffscreenCanvas(1, 1).getContext("2d");

function textWidth(text: string): number {
  if (!ruler) return text.length * 7;
  ruler.font = `600 ${TYPE_SIZE}px system-ui, sans-serif`;
  return Math.ceil(ruler.measureText(text).width);
}

/** Number, probability of malignancy, the kind and the detection score, verdict; a narrow pane leaves the detection to the list. */
class Label {
  readonly root: SVGGElement;
  width: number;
  private readonly plate: SVGRectElement;
  private readonly mark: SVGTextElement;
  private readonly bareWidth: number;
  private readonly chipWidth: number;
  private isWhole = true;

  constructor(number: number, finding: Finding, kind: FindingKind, operatingPoint: number, isNarrow: boolean) {
    const name = malignancyWords(finding.malignancy_score, operatingPoint);
    const detection = isNarrow ? "" : `${kind.word} ${finding.detection_score.toFixed(2)}`;
    const chip = (this.chipWidth = textWidth(String(number)) + 10);
    const nameEnd = chip + 6 + textWidth(name);
    this.width = this.bareWidth = nameEnd + (detection ? 10 + textWidth(detection) : 0) + 6;
    this.plate = svg("rect", { class: "plate", width: this.width, height: LABEL_HEIGHT, rx: 2 });
    this.mark = written("", this.bareWidth, "verdict");
    this.root = svg(
      "g",
      { class: `label ${finding.malignancy ?? "ungraded"}` },
      this.plate,
      svg("rect", { class: "chip", width: chip, height: LABEL_HEIGHT, rx: 2 }),
      written(String(number), 5, "number"),
      written(name, chip + 6, "class"),
      written(detection, nameEnd + 10, "detection"),
      this.mark,
    );
  }

  judge(verdict: Verdict | null): void {
    const text = verdict === "accepted" ? "✓" : verdict === "rejected" ? "✗" : "";
    if (this.mark.textContent === text) return;
    this.mark.textContent = text;
    this.resize();
  }

  /** The whole label, or its number alone. */
  makeWhole(isWhole: boolean): void {
    if (isWhole === this.isWhole) return;
    this.isWhole = isWhole;
    this.root.classList.toggle("number-only", !isWhole);
    this.resize();
  }

  private resize(): void {
    this.width = this.isWhole ? this.bareWidth + (this.mark.textContent ? 16 : 0) : this.chipWidth;
    this.plate.setAttribute("width", String(this.width));
  }
}

function written(text: string, x: number, className: string): SVGTextElement {
  const made = svg("text", { class: className, x, y: LABEL_HEIGHT / 2 + 4 });
  made.textContent = text;
  return made;
}

function show(element: SVGElement, isShown: boolean): void {
  const value = isShown ? "inline" : "none";
  if (element.getAttribute("display") !== value) element.setAttribute("display", value);
}
