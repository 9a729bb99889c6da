/** The reader's own part: what was missed, an impression, and what is taken away. */
import * as api from "../model/api";
import { readingOrder } from "../model/hanging";
import type { Keeper, Keeping } from "../model/keeper";
import type { Assessed, Reading } from "../model/reading";
import { readingFile } from "../model/reading_file";
import { button, download, el } from "./dom";
import type { LightBox } from "./lightbox";

/** Where the browser keeps the reader's name from one exam to the next. */
const READER = "mammoscope-reader";
const KEEPING: Record<Exclude<Keeping, "kept">, string> = {
  waiting: "Not saved yet.",
  saving: "Saving.",
  away: "Not saved: trying again.",
  refused: "Not saved.",
  overtaken: "Not saved: another reading of this exam was saved meanwhile, in another tab or by somebody else.",
};

const BIRADS = ["0", "1", "2", "3", "4A", "4B", "4C", "5", "6"] as const;
const DENSITIES = ["A", "B", "C", "D"] as const;
const ASSESSED: readonly (readonly [Assessed, string])[] = [
  ["exam", "Exam"],
  ["right", "Right"],
  ["left", "Left"],
];

const savedWords = (saved: string | null, reader: string) =>
  saved === null
    ? ""
    : `Saved on the server ${new Date(saved).toLocaleString([], { dateStyle: "short", timeStyle: "medium", hour12: false })}${reader ? ` by ${reader}` : ""}.`;

export class RecordPanel {
  readonly root: HTMLElement;
  private readonly impression = el("textarea", { attributes: { id: "impression", rows: "2", maxlength: "4000" } });
  private readonly said = el("p", { class: "quiet", attributes: { role: "status" } });
  private readonly reader = el("input", {
    attributes: { id: "reader", type: "text", maxlength: "100", autocomplete: "name" },
  });
  private readonly keepingWords = el("span", { attributes: { role: "status" } });
  private readonly choice = el("span", { class: "buttons", attributes: { hidden: "" } });
  private readonly keeping = el("p", { class: "keeping" }, this.keepingWords, this.choice);
  private readonly assessment = el("summary");
  private readonly assessed: { of: Assessed; birads: HTMLSelectElement; density: HTMLSelectElement }[];
  private readonly drawing: HTMLButtonElement[];
  private readonly exports: HTMLButtonElement[];

  constructor(
    private readonly reading: Reading,
    private readonly lightbox: LightBox,
    private readonly keeper: Keeper,
  ) {
    reading.reader = localStorage.getItem(READER) ?? "";
    this.reader.addEventListener("input", () => {
      localStorage.setItem(READER, this.reader.value);
      reading.sign(this.reader.value);
    });
    this.choice.append(
      button("Show theirs", () => void keeper.takeTheirs()),
      button("Keep mine", () => void keeper.keepMine()),
    );
    keeper.on(() => this.drawKeeping());
    this.impression.addEventListener("input", () => reading.write(this.impression.value));
    this.assessed = ASSESSED.map(([of, name]) => ({
      of,
      birads: choices(`BI-RADS category: ${name}`, BIRADS, (birads) => reading.assess(of, { birads })),
      density: choices(`Density: ${name}`, DENSITIES, (density) => reading.assess(of, { density })),
    }));
    this.drawing = [
      button("Polygon", () => reading.change({ tool: "polygon" }), {
        attributes: { title: "Click points; Enter or double click closes it (D)" },
      }),
      button("Freehand", () => reading.change({ tool: "freehand" }), { attributes: { title: "Drag around it (H)" } }),
    ];
    this.exports = [
      button("JSON", () => this.saveJson()),
      button("Overlay PNG", () => void this.saveOverlays(this.activeFile), {
        attributes: { title: "The findings drawn over the view that is active" },
      }),
      button("All overlays", () => void this.saveOverlays(this.doneFiles), {
        attributes: { title: "The same of every view, a PNG for each" },
      }),
      button("PDF report", () => void this.saveReport()),
      button("DICOM", () => void this.saveDicom(), {
        attributes: {
          title:
            "Structured report, segmentation and presentation state of every image: what the models found at or above the threshold, without your verdicts",
        },
      }),
    ];
    this.root = el(
      "section",
      { class: "record", attributes: { "aria-label": "Record" } },
      el(
        "div",
        { class: "buttons", attributes: { role: "group", "aria-label": "Draw a missed finding" } },
        el("span", { text: "Draw a missed one" }),
        ...this.drawing,
      ),
      el(
        "details",
        { class: "assessments" },
        this.assessment,
        el(
          "table",
          { attributes: { "aria-label": "Assessment" } },
          el("tr", {}, el("td"), ...ASSESSED.map(([, name]) => el("th", { text: name, attributes: { scope: "col" } }))),
          el(
            "tr",
            {},
            el("th", { text: "BI-RADS", attributes: { scope: "row" } }),
            ...this.assessed.map(({ birads }) => el("td", {}, birads)),
          ),
          el(
            "tr",
            {},
            el("th", { text: "Density", attributes: { scope: "row" } }),
            ...this.assessed.map(({ density }) => el("td", {}, density)),
          ),
        ),
      ),
      el("label", { attributes: { for: "impression" }, text: "Impression" }),
      this.impression,
      el("div", { class: "reader" }, el("label", { attributes: { for: "reader" }, text: "Reader" }), this.reader),
      this.keeping,
      el("div", { class: "buttons", attributes: { role: "group", "aria-label": "Take away" } }, ...this.exports),
      this.said,
    );
    reading.on(["exam", "files", "results", "record", "display"], () => this.draw());
    reading.on(["exam", "record"], () => this.drawKeeping());
    this.draw();
    this.drawKeeping();
  }

  private draw(): void {
    const { reading } = this;
    if (this.impression.value !== reading.impression) this.impression.value = reading.impression;
    const isReady = reading.analyses !== null && reading.analyses.length > 0 && !reading.isMixture;
    this.exports.forEach((each) => (each.disabled = !isReady));
    this.impression.disabled = reading.status === null;
    this.assessment.textContent = assessmentWords(reading.assessments);
    for (const { of, birads, density } of this.assessed) {
      const said = reading.assessments.get(of);
      birads.value = said?.birads ?? "";
      density.value = said?.density ?? "";
      birads.disabled = density.disabled = reading.status === null;
    }
    const tools = ["polygon", "freehand"] as const;
    this.drawing.forEach((each, place) => {
      each.disabled = reading.status === null;
      each.setAttribute("aria-pressed", String(reading.display.tool === tools[place]));
    });
    if (this.reader.value !== reading.reader) this.reader.value = reading.reader;
  }

  /** How the reading stands on the server: nothing is called saved that is not. */
  private drawKeeping(): void {
    const { keeper, reading } = this;
    const { state, problem } = keeper;
    this.keeping.hidden = reading.status === null || (state === "kept" && reading.saved === null);
    this.keeping.className =
      state === "kept" ? "keeping" : state === "overtaken" || state === "refused" ? "keeping error" : "keeping unsaved";
    const text = state === "kept" ? savedWords(reading.saved, reading.savedBy) : KEEPING[state];
    this.keepingWords.textContent = problem ? `${text} ${problem}` : text;
    this.choice.hidden = state !== "overtaken";
  }

  saveJson(): void {
    const text = `${JSON.stringify(readingFile(this.reading, new Date()), null, 1)}\n`;
    download(new Blob([text], { type: "application/json" }), "mammoscope-reading.json");
    this.reading.keep(this.reading.version);
    this.said.textContent = "Saved as mammoscope-reading.json.";
  }

  private get activeFile(): number[] {
    const { active } = this.lightbox;
    return active ? [active.pane.file] : [];
  }

  private get doneFiles(): number[] {
    return readingOrder(this.reading.files).flatMap(({ number, state }) => (state === "done" ? [number] : []));
  }

  private async saveOverlays(files: readonly number[]): Promise<void> {
    const { status, threshold } = this.reading;
    if (!status || files.length === 0) return;
    await this.attempt(files.length === 1 ? "Overlay" : `${files.length} overlays`, async () => {
      for (const file of files) {
        const { blob, name } = await api.overlayPng(status.id, file, threshold);
        download(blob, name);
      }
    });
  }

  private async saveReport(): Promise<void> {
    const exam = this.reading.status?.id;
    if (!exam) return;
    await this.attempt("Report", async () => {
      download(await api.reportPdf(exam, this.reading.record), "mammoscope-report.pdf");
    });
  }

  private async saveDicom(): Promise<void> {
    const exam = this.reading.status?.id;
    if (!exam) return;
    await this.attempt("DICOM results", async () => {
      const { blob, without } = await api.dicomResults(exam, this.reading.record);
      download(blob, "mammoscope-dicom.zip");
      return without && `Without results: image ${without}, see README.txt in the archive.`;
    });
  }

  /** `act` may give a text that is to be said of what it made. */
  private async attempt(what: string, act: () => Promise<unknown>): Promise<void> {
    this.said.textContent = `${what}: being made.`;
    try {
      const more = await act();
      this.said.textContent = `${what}: saved.${typeof more === "string" && more ? ` ${more}` : ""}`;
    } catch (error) {
      this.said.textContent = `${what}: not made. ${error instanceof Error ? error.message : ""}`;
    }
  }
}

/** What is said so far, while the choices are folded away. */
function assessmentWords(said: Reading["assessments"]): string {
  const parts = ASSESSED.flatMap(([of, name]) => {
    const { birads, density } = said.get(of) ?? {};
    const words = [birads && `BI-RADS ${birads}`, density && `density ${density}`].filter(Boolean);
    return words.length ? [`${name.toLowerCase()} ${words.join(", ")}`] : [];
  });
  return ["BI-RADS and density", parts.join("; ")].filter(Boolean).join(": ");
}

/** A choice of words, or of none. */
function choices<Word extends string>(
  label: string,
  words: readonly Word[],
  chosen: (word: Word | null) => void,
): HTMLSelectElement {
  const options = words.map((word) => el("option", { text: word, attributes: { value: word } }));
  const made = el(
    "select",
    { attributes: { "aria-label": label } },
    el("option", { text: "–", attributes: { value: "" } }),
    ...options,
  );
  made.addEventListener("change", () => chosen(words.find((word) => word === made.value) ?? null));
  return made;
}
