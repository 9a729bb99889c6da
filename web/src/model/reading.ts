/** The open exam and what the reader makes of it: the one place that holds them. */
import type { Analysis, Drawn, ExamFile, ExamStatus, Finding, Health, Point, ReadingRecord, Verdict } from "./api";
import { breastBox, type Camera, type Size, type Wall } from "./frames";
import { readingOrder } from "./hanging";
import type { Source } from "./images";
import { shownFindings, type Shown } from "./threshold";
import type { Tissue } from "./tissue";
import type { Window } from "./windowing";

export type ToolName = "window" | "pan" | "zoom" | "length" | "magnify" | "polygon" | "freehand";
export type Mode = Source | "both";

export interface Display {
  tool: ToolName;
  mode: Mode;
  isInverted: boolean;
  windowsLinked: boolean;
  outlines: boolean;
  boxes: boolean;
  labels: boolean;
  opacity: number;
}

/** How one file is looked at, shared by the panes that show it. */
export interface ViewState {
  camera: Camera | null;
  /** What just fills the pane: one that changes its size keeps that so. Null: the reader chose the place. */
  fitted: "image" | "breast" | null;
  wall: Wall | null;
  /** Null: no image of it was loaded yet, or none has any. */
  tissue: Tissue | null;
  windows: Partial<Record<Source, Window>>;
  lengths: [Point, Point][];
}

export interface FindingRef {
  file: number;
  finding: number;
}

/** What changed: the exam's files, its results, what is selected, the threshold, the display, a camera, the record. */
export type Change = "exam" | "files" | "results" | "selection" | "threshold" | "display" | "camera" | "record";

export class Reading {
  health: Health | null = null;
  status: ExamStatus | null = null;
  analyses: readonly Analysis[] | null = null;
  threshold = 0.5;
  activeFile: number | null = null;
  selected: FindingRef | null = null;
  enlarged: number | null = null;
  sheet = 0;
  impression = "";
  drawn: readonly Drawn[] = [];
  verdicts = new Map<string, Verdict>();
  isUnsaved = false;
  readonly display: Display = {
    tool: "window",
    mode: "original",
    isInverted: false,
    windowsLinked: true,
    outlines: true,
    boxes: true,
    labels: true,
    opacity: 1,
  };
  private views = new Map<number, ViewState>();
  private readonly listeners = new Map<Change, Set<() => void>>();

  on(changes: Change[], listener: () => void): () => void {
    for (const change of changes) {
      const set = this.listeners.get(change) ?? new Set();
      this.listeners.set(change, set.add(listener));
    }
    return () => changes.forEach((change) => this.listeners.get(change)?.delete(listener));
  }

  tell(change: Change): void {
    for (const listener of [...(this.listeners.get(change) ?? [])]) listener();
  }

  /** Opens another exam, or none; the reader's work on the last one is given up. */
  open(status: ExamStatus | null): void {
    this.status = status;
    this.analyses = null;
    this.activeFile = this.selected = this.enlarged = null;
    this.sheet = 0;
    this.impression = "";
    this.drawn = [];
    this.verdicts = new Map();
    this.views = new Map();
    this.isUnsaved = false;
    this.display.mode = "original";
    this.display.tool = "window";
    if (this.health) this.threshold = this.health.thresholds.detection;
    for (const change of ["exam", "files", "results", "display", "threshold", "record"] as const) this.tell(change);
  }

  get files(): readonly ExamFile[] {
    return this.status?.files ?? [];
  }

  file(number: number): ExamFile | null {
    return this.files.find((file) => file.number === number) ?? null;
  }

  view(number: number): ViewState {
    let state = this.views.get(number);
    if (!state) {
      state = { camera: null, fitted: "image", wall: null, tissue: null, windows: {}, lengths: [] };
      this.views.set(number, state);
    }
    return state;
  }

  get viewStates(): IterableIterator<ViewState> {
    return this.views.values();
  }

  /** Width and height that no breast of the exam exceeds, in original pixels; null: no breast is known. */
  get breastSize(): Size | null {
    const known = this.files.flatMap(({ view }) => (view?.preprocessed ? [breastBox(view.preprocessed)] : []));
    if (known.length === 0) return null;
    return { width: Math.max(...known.map(({ x0, x1 }) => x1 - x0)), height: Math.max(...known.map(({ y0, y1 }) => y1 - y0)) };
  }

  analysis(number: number): Analysis | null {
    const place = this.file(number)?.result ?? null;
    return place === null ? null : (this.analyses?.[place] ?? null);
  }

  shown(number: number): Shown[] {
    return shownFindings(this.analysis(number), this.threshold);
  }

  /** Every finding that is shown, in the order of the list. */
  get allShown(): FindingRef[] {
    return readingOrder(this.files).flatMap(({ number }) =>
      this.shown(number).map(({ index }) => ({ file: number, finding: index })),
    );
  }

  finding({ file, finding }: FindingRef): Finding | null {
    return this.analysis(file)?.findings[finding] ?? null;
  }

  /** What other views show of the same lesion, of the findings that are shown. */
  counterparts(ref: FindingRef): FindingRef[] {
    const lesion = this.finding(ref)?.lesion ?? null;
    if (lesion === null) return [];
    return this.allShown.filter((other) => other.file !== ref.file && this.finding(other)?.lesion === lesion);
  }

  /** Whether this is the finding that is selected, or another view of the same lesion. */
  isSelected({ file, finding }: FindingRef): boolean {
    const { selected } = this;
    if (!selected) return false;
    if (selected.file === file) return selected.finding === finding;
    const lesion = this.finding(selected)?.lesion ?? null;
    return lesion !== null && this.finding({ file, finding })?.lesion === lesion;
  }

  verdict({ file, finding }: FindingRef): Verdict | null {
    return this.verdicts.get(`${file}/${finding}`) ?? null;
  }

  /** The same verdict twice takes it back. */
  judge(ref: FindingRef, verdict: Verdict): void {
    const key = `${ref.file}/${ref.finding}`;
    if (this.verdicts.get(key) === verdict) this.verdicts.delete(key);
    else this.verdicts.set(key, verdict);
    this.touch();
  }

  addDrawn(file: number, outline: readonly Point[]): void {
    this.drawn = [...this.drawn, { file, outline }];
    this.touch();
  }

  removeDrawn(index: number): void {
    this.drawn = this.drawn.filter((_, place) => place !== index);
    this.touch();
  }

  write(impression: string): void {
    this.impression = impression;
    this.touch();
  }

  /** Puts a saved record, in the numbers of this exam, in the place of what there is. */
  restore(record: ReadingRecord): void {
    this.threshold = Math.min(1, Math.max(this.health?.floor ?? 0, record.threshold));
    this.impression = record.impression;
    this.drawn = record.drawn;
    this.verdicts = new Map(record.verdicts.map(({ file, finding, verdict }) => [`${file}/${finding}`, verdict]));
    this.isUnsaved = false;
    this.tell("threshold");
    this.tell("record");
  }

  saved(): void {
    this.isUnsaved = false;
    this.tell("record");
  }

  activate(file: number | null): void {
    if (this.activeFile === file) return;
    this.activeFile = file;
    this.tell("selection");
  }

  select(ref: FindingRef | null): void {
    this.selected = ref;
    if (ref) this.activeFile = ref.file;
    this.tell("selection");
  }

  change(display: Partial<Display>): void {
    Object.assign(this.display, display);
    this.tell("display");
  }

  setThreshold(threshold: number): void {
    this.threshold = threshold;
    this.tell("threshold");
  }

  get record(): ReadingRecord {
    const verdicts = [...this.verdicts].map(([key, verdict]) => {
      const [file, finding] = key.split("/").map(Number) as [number, number];
      return { file, finding, verdict };
    });
    return {
      threshold: this.threshold,
      impression: this.impression,
      verdicts: verdicts.sort((a, b) => a.file - b.file || a.finding - b.finding),
      drawn: this.drawn,
    };
  }

  private touch(): void {
    this.isUnsaved = this.verdicts.size > 0 || this.drawn.length > 0 || this.impression.trim() !== "";
    this.tell("record");
  }
}
