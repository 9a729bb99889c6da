/** The exams that the server holds, uploads on their way, and which exam is open. */
import * as api from "./api";
import { ApiError, type ExamStatus, type StoredReading } from "./api";
import type { ImageStore } from "./images";
import type { Reading } from "./reading";
import { parseReadingFile, restored, restoredWords, UnfitReading } from "./reading_file";
import { isJson, shares } from "./uploads";

/** Says which exam is open, so that it can be found again. */
export interface Address {
  readonly exam: string | null;
  /** Opens an exam: listeners hear of it. */
  go(exam: string): void;
  /** Writes what is open already: nobody hears of it. */
  put(exam: string | null): void;
  on(listener: () => void): void;
}

export interface Upload {
  files: { name: string; share: number }[];
  error: string | null;
}

const FIRST_SIGHT_MS = 80;
const OPEN_EXAM_MS = 200;
const OTHER_EXAMS_MS = 2000;
const RETRY_MS = 1500;

const isUnderWay = (exam: ExamStatus) => exam.state === "queued" || exam.state === "running";

export class Session {
  exams: readonly ExamStatus[] = [];
  uploads: Upload[] = [];
  /** What stands in the way of everything; null: nothing does. */
  trouble: string | null = null;
  /** What came back of a saved reading. */
  opened = "";
  /** That what was sent last is several exams; empty: it is one. */
  parted = "";
  /** Saved readings that wait for the results of the exam they came with. */
  private readonly waiting = new Map<string, File>();
  private readonly listeners: (() => void)[] = [];
  private turn = 0;

  constructor(
    private readonly reading: Reading,
    private readonly images: ImageStore,
    private readonly address: Address,
    /** Saves what can be saved; false: the reader stays, for something would be lost. */
    private readonly mayLeave: () => Promise<boolean>,
  ) {}

  on(listener: () => void): void {
    this.listeners.push(listener);
  }

  async start(): Promise<void> {
    this.address.on(() => void this.followAddress());
    try {
      this.reading.health = await this.insist(() => api.health());
      this.reading.threshold = this.reading.health.thresholds.detection;
      this.reading.tell("threshold");
      this.exams = await this.insist(() => api.exams());
    } catch (error) {
      this.trouble = messageOf(error);
      return this.tell();
    }
    await this.followAddress();
    this.tell();
    void this.watchOthers();
  }

  show(exam: string): void {
    if (exam !== this.reading.status?.id) this.address.go(exam);
  }

  /** Takes what was dropped or chosen: images to analyse, a saved reading beside them or for the exam that is open. */
  async send(all: readonly File[]): Promise<void> {
    const files = all.filter((file) => !isJson(file));
    const readings = all.filter(isJson);
    if (all.length === 0) {
      this.complain("Nothing to analyse: there was no DICOM, PNG, JPEG, TIFF, PGM or ZIP file.");
      return;
    }
    if (readings.length > 1) {
      this.complain(`${readings.length} saved readings at once: one can be opened at a time.`);
      return;
    }
    const [saved] = readings;
    if (saved && files.length === 0) return this.restore(saved);
    this.parted = "";
    const upload: Upload = { files: files.map(({ name }) => ({ name, share: 0 })), error: null };
    this.uploads = [upload, ...this.uploads.filter(({ error }) => error === null)];
    this.tell();
    const sizes = files.map((file) => file.size);
    try {
      const { exams } = await api.upload(files, (sent, of) => {
        shares(sizes, sent, of).forEach((share, place) => (upload.files[place]!.share = share));
        this.tell();
      });
      this.uploads = this.uploads.filter((other) => other !== upload);
      if (exams.length > 1)
        this.parted = `The files are ${exams.length} exams: those of one exam state the same patient and study.`;
      if (saved) for (const { id } of exams) this.waiting.set(id, saved);
      await this.take(exams.map(({ id }) => id));
    } catch (error) {
      upload.error = error instanceof ApiError ? error.message : "The files could not be read.";
      this.tell();
    }
  }

  async example(): Promise<void> {
    try {
      this.parted = "";
      await this.take([await api.startExample()]);
    } catch (error) {
      this.complain(messageOf(error));
    }
  }

  async remove(id: string): Promise<void> {
    try {
      await api.remove(id);
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) return this.complain(messageOf(error));
    }
    this.exams = this.exams.filter((exam) => exam.id !== id);
    this.waiting.delete(id);
    this.images.forgetExam(id);
    if (this.reading.status?.id === id) {
      this.address.put(null);
      this.close();
    }
    this.tell();
  }

  dismiss(upload: Upload): void {
    this.uploads = this.uploads.filter((other) => other !== upload);
    this.tell();
  }

  /** Opens a saved reading beside the exam that is open. One that waits for other exams too may be of one of those. */
  private async restore(saved: File, waitsElsewhere = false): Promise<void> {
    const exam = this.reading.status?.id;
    if (exam && !this.reading.analyses) {
      this.waiting.set(exam, saved);
      return;
    }
    try {
      if (!exam) throw new UnfitReading("open its files first, or drop them together");
      const file = parseReadingFile(await saved.text());
      if (exam === this.reading.status?.id) {
        const record = restored(file, this.reading);
        this.reading.restore(record);
        this.opened = restoredWords(record);
        for (const [other, file] of this.waiting) if (file === saved) this.waiting.delete(other);
      }
      this.tell();
    } catch (error) {
      if (waitsElsewhere && error instanceof UnfitReading) return;
      this.complain(
        `${saved.name} cannot be opened: ${error instanceof UnfitReading ? error.message : "it cannot be read"}.`,
      );
    }
  }

  private complain(error: string): void {
    this.uploads = [{ files: [], error }, ...this.uploads.filter((upload) => upload.error === null)];
    this.tell();
  }

  /** Lists new exams and opens the first. */
  private async take(ids: readonly string[]): Promise<void> {
    const taken = await Promise.all(ids.map((id) => api.exam(id)));
    this.exams = [...taken, ...this.exams.filter((exam) => !ids.includes(exam.id))];
    this.address.go(ids[0]!);
    this.tell();
  }

  private close(): void {
    this.turn++;
    this.reading.open(null);
  }

  private async followAddress(): Promise<void> {
    const id = this.address.exam;
    const open = this.reading.status?.id;
    if (!id || id === open) return;
    if (open && !(await this.mayLeave())) return this.address.put(open);
    const turn = ++this.turn;
    let status: ExamStatus;
    let reading: StoredReading;
    try {
      status = await this.insist(() => api.exam(id));
      reading = await this.insist(() => api.storedReading(id));
    } catch (error) {
      this.complain(
        error instanceof ApiError && error.status === 404
          ? "This exam is not on the server any more."
          : messageOf(error),
      );
      return this.close();
    }
    if (turn !== this.turn) return; // another exam was opened meanwhile
    this.opened = "";
    this.reading.open(status);
    this.reading.adopt(reading);
    this.tell();
    void this.follow(id, this.turn);
  }

  /** Watches the open exam until it has ended, then fetches its results. */
  private async follow(id: string, turn: number): Promise<void> {
    let last = "";
    try {
      for (;;) {
        const status = await this.insist(() => api.exam(id));
        if (turn !== this.turn) return;
        const text = JSON.stringify(status);
        if (text !== last) {
          last = text;
          this.reading.status = status;
          this.exams = this.exams.map((exam) => (exam.id === id ? status : exam));
          this.reading.tell("files");
          this.tell();
        }
        if (!isUnderWay(status)) break;
        await this.takeEarly(id, turn);
        await pause(status.files.some(({ view }) => view !== null) ? OPEN_EXAM_MS : FIRST_SIGHT_MS);
      }
      const analyses = await this.insist(() => api.result(id));
      if (turn !== this.turn) return;
      this.reading.analyses = analyses;
      this.reading.early = new Map();
      this.reading.tell("results");
      const saved = this.waiting.get(id);
      this.waiting.delete(id);
      if (saved) await this.restore(saved, [...this.waiting.values()].includes(saved));
    } catch (error) {
      if (turn !== this.turn) return;
      this.complain(
        error instanceof ApiError && error.status === 404 ? "This exam was removed from the server." : messageOf(error),
      );
    }
  }

  /** Fetches the results of views that are done while others of the exam are not. */
  private async takeEarly(id: string, turn: number): Promise<void> {
    const { reading } = this;
    if (!reading.isByView) return;
    for (const { number, state } of reading.files) {
      if (state !== "done" || reading.early.has(number)) continue;
      const analysis = await this.insist(() => api.fileResult(id, number));
      if (turn !== this.turn) return;
      reading.early = new Map([...reading.early, [number, analysis]]);
      reading.tell("results");
    }
  }

  private async watchOthers(): Promise<never> {
    for (;;) {
      await pause(OTHER_EXAMS_MS);
      if (!this.exams.some((exam) => isUnderWay(exam) && exam.id !== this.reading.status?.id)) continue;
      const exams = await api.exams().catch(() => null);
      if (exams) this.exams = exams;
      this.tell();
    }
  }

  /** Asks again while the server is away; what it refuses is passed on. */
  private async insist<T>(ask: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const answer = await ask();
        if (this.trouble !== null) {
          this.trouble = null;
          this.tell();
        }
        return answer;
      } catch (error) {
        if (!(error instanceof ApiError) || (error.status !== 0 && error.status < 500)) throw error;
        this.trouble = `${error.message} Trying again.`;
        this.tell();
        await pause(RETRY_MS);
      }
    }
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

const messageOf = (error: unknown) => (error instanceof ApiError ? error.message : "Something went wrong.");
