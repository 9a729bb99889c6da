/** The open exam and what the reader makes of it: the one place that holds them. */
import type {
  Analysis,
  Assessment,
  Drawn,
  ExamFile,
  ExamStatus,
  Finding,
  Health,
  Judged,
  Length,
  Point,
  ReadingRecord,
  StoredReading,
  Verdict,
} from "./api";
import type { Camera, Wall } from "./frames";
import { readingOrder } from "./hanging";
import type { Source } from "./images";
import { shownFindings, type Shown } from "./threshold";
import type { Tissue } from "./tissue";
import type { Window } from "./windowing";

export type ToolName = "window" | "pan" | "zoom" | "length" | "magnify" | "polygon" | "freehand";
export type Mode = Source | "both";
/** How the table of findings is sorted. */
export type Order = "suspicion" | "where" | "size" | "detection" | "malignancy";

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
}

export interface FindingRef {
  file: number;
  finding: number;
}

/**
 * What changed: the exam's files, its results, what is selected, the threshold, the display, a camera,
 * what is known of the breasts' sizes, the record.
 */
export type Change =
  "exam" | "files" | "results" | "selection" | "threshold" | "display" | "camera" | "scale" | "record";

/** A verdict, and why. */
type Judgement = Omit<Judged, "file" | "finding">;
export type Assessed = Assessment["of"];
const ASSESSED: readonly Assessed[] = ["exam", "right", "left"];

/** A record by anybody; what it does not say of the images stays. */
type Restorable = Omit<ReadingRecord, "reader" | "one_woman"> & { readonly one_woman?: boolean };

export class Reading {
  health: Health | null = null;
  status: ExamStatus | null = null;
  /** Null: the exam has not ended. */
  analyses: readonly Analysis[] | null = null;
  /** Results of views, by file, while the exam is analysed. */
  early: ReadonlyMap<number, Analysis> = new Map();
  order: Order = "suspicion";
  threshold = 0.5;
  activeFile: number | null = null;
  selected: FindingRef | null = null;
  enlarged: number | null = null;
  sheet = 0;
  /** The only row of the sheet that is shown; null: all are. */
  row: number | null = null;
  impression = "";
  drawn: readonly Drawn[] = [];
  verdicts = new Map<string, Judgement>();
  assessments = new Map<Assessed, Omit<Assessment, "of">>();
  lengths: readonly Length[] = [];
  /** The reader states that images which do not, are of one woman. */
  isOneWoman = false;
  /** The name of who reads here. */
  reader = "";
  /** Who saved the reading that this one was made from. */
  savedBy = "";
  /** Of the reading on the server that this one was made from, and when that was saved; 0, null: there is none. */
  revision = 0;
  saved: string | null = null;
  /** Counts what the reader did; as far as `kept` it is on the server, or in a file that the reader saved. */
  version = 0;
  kept = 0;
  private adopted = 0;
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

  get isUnsaved(): boolean {
    return this.version > this.kept;
  }

  /** Opens another exam, or none; the reader's work on the last one is given up. */
  open(status: ExamStatus | null): void {
    this.status = status;
    this.analyses = null;
    this.early = new Map();
    this.activeFile = this.selected = this.enlarged = this.row = null;
    this.sheet = 0;
    this.impression = "";
    this.drawn = [];
    this.verdicts = new Map();
    this.assessments = new Map();
    this.lengths = [];
    this.isOneWoman = false;
    this.views = new Map();
    this.revision = this.version = this.kept = this.adopted = 0;
    this.saved = null;
    this.savedBy = "";
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
      state = { camera: null, fitted: "breast", wall: null, tissue: null, windows: {} };
      this.views.set(number, state);
    }
    return state;
  }

  get viewStates(): IterableIterator<ViewState> {
    return this.views.values();
  }

  analysis(number: number): Analysis | null {
    if (!this.analyses) return this.early.get(number) ?? null;
    const place = this.file(number)?.result ?? null;
    return place === null ? null : (this.analyses[place] ?? null);
  }

  shown(number: number): Shown[] {
    return shownFindings(this.analysis(number), this.threshold);
  }

  /** Whether views have results before their exam has: not where the models look at all of them together. */
  get isByView(): boolean {
    const isAlone =
      (this.status?.is_vouched ?? false) || this.files.filter(({ state }) => state !== "failed").length < 2;
    return isAlone || !this.health?.sees_exams;
  }

  /** Every finding that is shown, as the views hang. */
  get allShown(): FindingRef[] {
    return readingOrder(this.files).flatMap(({ number }) =>
      this.shown(number).map(({ index }) => ({ file: number, finding: index })),
    );
  }

  finding({ file, finding }: FindingRef): Finding | null {
    return this.analysis(file)?.findings[finding] ?? null;
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
    return this.verdicts.get(`${file}/${finding}`)?.verdict ?? null;
  }

  /** The verdict on several findings; null: none, or not the same on all. */
  commonVerdict(refs: readonly FindingRef[]): Verdict | null {
    const [first, ...rest] = refs.map((ref) => this.verdict(ref));
    return rest.every((verdict) => verdict === first) ? (first ?? null) : null;
  }

  /** Judges findings, several where they are one lesion; the same verdict twice takes it back. */
  judge(refs: readonly FindingRef[], verdict: Verdict): void {
    const isTakenBack = this.commonVerdict(refs) === verdict;
    for (const { file, finding } of refs) {
      if (isTakenBack) this.verdicts.delete(`${file}/${finding}`);
      else this.verdicts.set(`${file}/${finding}`, { verdict, reason: "" });
    }
    this.touch();
  }

  /** Why these findings are rejected; empty where they are not, or not for one reason. */
  reason(refs: readonly FindingRef[]): string {
    const [first, ...rest] = refs.map(({ file, finding }) => this.verdicts.get(`${file}/${finding}`)?.reason ?? "");
    return rest.every((reason) => reason === first) ? (first ?? "") : "";
  }

  explain(refs: readonly FindingRef[], reason: string): void {
    for (const { file, finding } of refs) {
      const judged = this.verdicts.get(`${file}/${finding}`);
      if (judged) this.verdicts.set(`${file}/${finding}`, { ...judged, reason });
    }
    this.touch();
  }

  /** Category or density of a breast, or of the exam; null takes it back. */
  assess(of: Assessed, said: Partial<Omit<Assessment, "of">>): void {
    this.assessments.set(of, { birads: null, density: null, ...this.assessments.get(of), ...said });
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

  addLength(file: number, from: Point, to: Point): void {
    this.lengths = [...this.lengths, { file, ends: [from, to] }];
    this.touch();
  }

  removeLastLength(file: number): void {
    const last = this.lengths.findLastIndex((length) => length.file === file);
    if (last < 0) return;
    this.lengths = this.lengths.filter((_, place) => place !== last);
    this.touch();
  }

  /** Whether the images may be of several women: nothing of them is taken away before the reader has said that they are not. */
  get isMixture(): boolean {
    return (this.status?.is_vouched ?? false) && !this.isOneWoman;
  }

  vouch(isOneWoman: boolean): void {
    this.isOneWoman = isOneWoman;
    this.touch();
  }

  /** A name alone is no reading: it is saved with the next change. */
  sign(reader: string): void {
    this.reader = reader;
    if (this.version > this.adopted) this.touch();
  }

  /** Puts a saved record, in the numbers of this exam, in the place of what there is. */
  restore(record: Restorable): void {
    this.take(record);
    this.touch();
  }

  /** Takes what the server keeps in the place of what there is. */
  adopt({ revision, saved, record }: StoredReading): void {
    this.revision = revision;
    this.saved = saved;
    this.savedBy = record?.reader ?? "";
    this.kept = this.adopted = this.version;
    if (record) this.take(record);
    else this.tell("record");
  }

  private take(record: Restorable): void {
    this.threshold = Math.min(1, Math.max(this.health?.floor ?? 0, record.threshold));
    this.impression = record.impression;
    this.drawn = record.drawn;
    this.verdicts = new Map(
      record.verdicts.map(({ file, finding, verdict, reason }) => [
        `${file}/${finding}`,
        { verdict, reason: reason ?? "" },
      ]),
    );
    this.assessments = new Map((record.assessments ?? []).map(({ of, ...said }) => [of, said]));
    this.lengths = record.lengths ?? [];
    this.isOneWoman = record.one_woman ?? this.isOneWoman;
    this.tell("threshold");
    this.tell("record");
  }

  /** What the reader did up to a version is kept. */
  keep(version: number): void {
    this.kept = Math.max(this.kept, version);
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

  sortBy(order: Order): void {
    this.order = order;
    this.tell("selection");
  }

  setThreshold(threshold: number): void {
    this.threshold = threshold;
    this.tell("threshold");
  }

  get record(): ReadingRecord {
    const verdicts = [...this.verdicts].map(([key, judged]) => {
      const [file, finding] = key.split("/").map(Number) as [number, number];
      return { file, finding, ...judged };
    });
    return {
      threshold: this.threshold,
      impression: this.impression,
      verdicts: verdicts.sort((a, b) => a.file - b.file || a.finding - b.finding),
      drawn: this.drawn,
      lengths: this.lengths,
      assessments: ASSESSED.flatMap((of) => {
        const said = this.assessments.get(of);
        return said?.birads || said?.density ? [{ of, ...said }] : [];
      }),
      one_woman: this.isOneWoman,
      reader: this.version > this.adopted ? this.reader : this.savedBy || this.reader,
    };
  }

  private touch(): void {
    this.version++;
    this.tell("record");
  }
}
