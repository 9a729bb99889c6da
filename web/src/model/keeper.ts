/** Keeps the reading of the open exam on the server: a moment after each change, and before the exam is left. */
import { ApiError, saveReading, storedReading, type ReadingRecord, type StoredReading } from "./api";
import type { Reading } from "./reading";

/** How the reading stands; "refused": the server will not take it as it is; "overtaken": another was saved meanwhile. */
export type Keeping = "kept" | "waiting" | "saving" | "away" | "refused" | "overtaken";

/** The server's side, as tests replace it. */
export interface Store {
  save(exam: string, revision: number, record: ReadingRecord): Promise<StoredReading>;
  load(exam: string): Promise<StoredReading>;
}

const AFTER_MS = 500;
const RETRY_MS = 2000;
const ON_SERVER: Store = { save: saveReading, load: storedReading };

export class Keeper {
  state: Keeping = "kept";
  /** Why the server does not take it; empty: it did. */
  problem = "";
  private timer: ReturnType<typeof setTimeout> | undefined;
  private running: Promise<void> | null = null;
  /** Version of the reading that the server has. */
  private sent = 0;
  private readonly listeners: (() => void)[] = [];

  constructor(
    private readonly reading: Reading,
    private readonly store: Store = ON_SERVER,
  ) {
    reading.on(["exam"], () => this.begin());
    reading.on(["record"], () => this.expect());
  }

  on(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** Saves what is not saved yet; true: nothing is left. */
  async flush(): Promise<boolean> {
    clearTimeout(this.timer);
    while (this.isBehind && this.state !== "overtaken") {
      const before = this.sent;
      await (this.running ??= this.save().finally(() => (this.running = null)));
      if (this.sent === before) break;
    }
    return !this.reading.isUnsaved;
  }

  /** Takes another reading of the exam, which was saved meanwhile, in the place of this one. */
  async takeTheirs(): Promise<void> {
    await this.withTheirs((theirs) => this.adopt(theirs));
  }

  /** Puts this reading in the place of the one that was saved meanwhile. */
  async keepMine(): Promise<void> {
    await this.withTheirs(({ revision }) => {
      this.reading.revision = revision;
      this.put("waiting");
    });
    await this.flush();
  }

  /** Takes what another tab saved, where nothing would be lost by that. */
  async refresh(): Promise<void> {
    const exam = this.reading.status?.id;
    if (!exam || this.isBehind || this.running) return;
    const theirs = await this.store.load(exam).catch(() => null);
    if (theirs && exam === this.reading.status?.id && !this.isBehind && theirs.revision > this.reading.revision)
      this.adopt(theirs);
  }

  private get isBehind(): boolean {
    return this.reading.status !== null && this.reading.version > this.sent;
  }

  private begin(): void {
    clearTimeout(this.timer);
    this.sent = this.reading.version;
    this.put("kept");
  }

  private expect(): void {
    if (!this.isBehind || this.state === "overtaken" || this.running) return;
    this.put("waiting");
    this.later(AFTER_MS);
  }

  private later(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.flush(), ms);
  }

  private async save(): Promise<void> {
    const { reading } = this;
    const exam = reading.status!.id;
    const { version, revision } = reading;
    this.put("saving");
    try {
      const stored = await this.store.save(exam, revision, reading.record);
      if (exam !== reading.status?.id) return;
      this.sent = version;
      reading.revision = stored.revision;
      reading.saved = stored.saved;
      reading.savedBy = stored.record?.reader ?? "";
      this.put(this.isBehind ? "waiting" : "kept");
      reading.keep(version);
    } catch (error) {
      if (exam !== reading.status?.id) return;
      this.fail(error);
    }
  }

  private fail(error: unknown): void {
    const status = error instanceof ApiError ? error.status : 0;
    if (status === 409) return this.put("overtaken");
    const isAway = status === 0 || status >= 500;
    this.put(isAway ? "away" : "refused", error instanceof Error ? error.message : "");
    if (isAway) this.later(RETRY_MS);
  }

  private adopt(theirs: StoredReading): void {
    this.reading.adopt(theirs);
    this.sent = this.reading.version;
    this.put("kept");
  }

  private async withTheirs(act: (theirs: StoredReading) => void): Promise<void> {
    const exam = this.reading.status?.id;
    if (!exam) return;
    try {
      const theirs = await this.store.load(exam);
      if (exam === this.reading.status?.id) act(theirs);
    } catch (error) {
      this.put("overtaken", error instanceof Error ? error.message : "");
    }
  }

  private put(state: Keeping, problem = ""): void {
    this.state = state;
    this.problem = problem;
    for (const listener of this.listeners) listener();
  }
}
