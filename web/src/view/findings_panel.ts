/** The right side: the threshold, what was found in each view, warnings, and which models said so. */
import type { ExamFile, Health } from "../model/api";
import { readingOrder, title } from "../model/hanging";
import { onlySought, soughtWords } from "../model/kinds";
import { operatingPointPercent } from "../model/malignancy";
import { thresholdWords, validationLines } from "../model/operating_point";
import { patientFacts, patientName, studyFacts } from "../model/patient";
import type { FindingRef, Reading } from "../model/reading";
import { examOutcome } from "../model/threshold";
import { button, el } from "./dom";
import { FindingsTable } from "./findings_table";
import type { LightBox } from "./lightbox";

const MIXTURE =
  "These images do not state whose they are: they may be of several women. Nothing can be exported until you state that they are of one.";

export class FindingsPanel {
  readonly root: HTMLElement;
  private readonly slider = el("input", { attributes: { type: "range", id: "threshold", step: "any", max: "1" } });
  private readonly number = el("output", { attributes: { for: "threshold" } });
  private readonly atBundle = el("span");
  private readonly onValidation = el("p", { class: "quiet on-validation" });
  private readonly patient = el("p", { class: "patient" });
  private readonly mixture = el("div", { class: "mixture" });
  private readonly status = el("p", { class: "outcome", attributes: { role: "status" } });
  private readonly failures = el("div");
  private readonly warnings = el("details", { class: "warnings", attributes: { open: "" } });
  private readonly table: FindingsTable;
  private readonly meanings = el("details", { class: "meaning", attributes: { hidden: "" } });
  private readonly models = el("div", { class: "models" });
  private built = "";

  constructor(
    private readonly reading: Reading,
    private readonly lightbox: LightBox,
  ) {
    this.slider.addEventListener("input", () => reading.setThreshold(Number(this.slider.value)));
    this.table = new FindingsTable(reading, (ref) => this.show(ref));
    const back = button("Back to it", () => reading.setThreshold(this.ofModels), { class: "quiet" });
    this.root = el(
      "section",
      { class: "findings-panel", attributes: { "aria-label": "Findings", tabindex: "-1" } },
      this.patient,
      this.mixture,
      el(
        "div",
        { class: "threshold" },
        el("label", { attributes: { for: "threshold" }, text: "Detection threshold" }),
        this.number,
        this.slider,
        this.onValidation,
        el("p", { class: "quiet" }, this.atBundle, back),
      ),
      this.status,
      this.failures,
      this.warnings,
      this.table.root,
      this.meanings,
    );
    reading.on(["exam", "files", "results", "threshold", "record", "selection"], () => this.draw());
    reading.on(["selection"], () => this.table.reveal());
    this.draw();
  }

  private get ofModels(): number {
    return this.reading.health?.thresholds.detection ?? 0.5;
  }

  private draw(): void {
    const { reading } = this;
    const floor = reading.health?.floor ?? 0;
    this.slider.min = String(floor);
    this.slider.value = String(reading.threshold);
    this.slider.setAttribute("aria-valuetext", reading.threshold.toFixed(2));
    this.number.textContent = reading.threshold.toFixed(2);
    this.atBundle.textContent = `The models' own: ${this.ofModels.toFixed(2)}`;
    const found = reading.health ? thresholdWords(reading.health, reading.threshold) : "";
    if (this.onValidation.textContent !== found) this.onValidation.textContent = found;
    const without = readingOrder(reading.files).filter(
      ({ number }) => reading.analysis(number) && reading.shown(number).length === 0,
    );
    const { analyses, early, isByView } = reading;
    const progress = { analyses, done: early.size, isByView, without: without.map(({ view }) => title(view)) };
    const text = examOutcome(reading.status, progress, reading.allShown.length, reading.threshold);
    if (this.status.textContent !== text) this.status.textContent = text;
    this.drawPatient();
    this.drawMixture();
    this.build();
  }

  private drawPatient(): void {
    const patient = this.reading.status?.patient ?? null;
    const lines = patient ? [patientName(patient), patientFacts(patient), studyFacts(patient)].filter(Boolean) : [];
    if (this.reading.status && !patient && this.reading.analyses) lines.push("Patient: not stated by the images");
    const text = lines.join("\n");
    if (this.patient.textContent !== text) this.patient.textContent = text;
    this.patient.hidden = text === "";
  }

  /** That images may be of several women, and the reader's word that they are not. */
  private drawMixture(): void {
    const { reading } = this;
    const state = reading.status?.is_vouched ? (reading.isMixture ? "doubtful" : "vouched") : "stated";
    if (this.mixture.dataset["state"] === state) return;
    this.mixture.dataset["state"] = state;
    if (state === "doubtful") {
      this.mixture.replaceChildren(
        el("p", { class: "error", text: MIXTURE, attributes: { role: "alert" } }),
        button("I checked: they are of one woman", () => reading.vouch(true)),
      );
    } else if (state === "vouched") {
      this.mixture.replaceChildren(
        el("p", { class: "quiet", text: "The reader has stated that these images are of one woman." }),
        button("Take it back", () => reading.vouch(false), { class: "quiet" }),
      );
    } else this.mixture.replaceChildren();
  }

  /** Makes failures and warnings anew where more than the threshold, a verdict or the selection changed. */
  private build(): void {
    const { reading } = this;
    const files = readingOrder(reading.files);
    const ofExam = reading.status?.warnings ?? [];
    const parts = [
      reading.status?.id,
      reading.files,
      ofExam,
      reading.analyses !== null,
      [...reading.early.keys()],
      reading.health !== null,
    ];
    const signature = JSON.stringify(parts);
    this.table.draw(signature);
    if (signature === this.built) return;
    this.built = signature;
    const failed = files.filter(({ error }) => error !== null);
    this.failures.replaceChildren(
      ...failed.map(({ name, error }) => el("p", { class: "error", text: `${name}: failed: ${error}` })),
    );
    const common = commonWarnings(files.map((file) => this.warningsOf(file)));
    const own = files.flatMap((file) =>
      this.warningsOf(file)
        .filter((text) => !common.includes(text))
        .map((text) => `${title(file.view)}: ${text}`),
    );
    const all = [...ofExam, ...common.map((text) => `All views: ${text}`), ...own];
    this.warnings.hidden = all.length === 0;
    this.warnings.replaceChildren(
      el("summary", { text: all.length === 1 ? "1 warning" : `${all.length} warnings` }),
      ...all.map(warned),
    );
    this.drawModels();
  }

  private warningsOf(file: ExamFile): readonly string[] {
    return this.reading.analysis(file.number)?.warnings ?? file.view?.warnings ?? [];
  }

  private get allScores(): number[] {
    return this.reading.files.flatMap(
      ({ number }) =>
        this.reading
          .analysis(number)
          ?.findings.flatMap(({ malignancy_score: score }) => (score === null ? [] : [score])) ?? [],
    );
  }

  private drawModels(): void {
    const { health, analyses } = this.reading;
    if (!health) return;
    const said = analyses?.[0];
    const bundle = said?.bundle ?? health.bundle;
    const { detection } = health.thresholds;
    const point = operatingPointPercent(said?.thresholds.malignancy ?? health.thresholds.malignancy, this.allScores);
    const lines = [
      `Models: ${bundle.name} ${bundle.version} (${bundle.sha256.slice(0, 12)})`,
      `Software: ${said?.software ?? health.software}`,
      `Thresholds: detection ${detection.toFixed(2)}, malignancy ${point}; candidates from ${health.floor.toFixed(2)}`,
    ];
    this.meanings.hidden = false;
    this.models.replaceChildren(...lines.map((text) => el("p", { text })));
    const measured = validationLines(health).map((text) => el("p", { text }));
    this.meanings.replaceChildren(...meanings(health, point), ...measured, this.models);
  }

  /** Selects a finding and brings it to the middle of its view. */
  show(ref: FindingRef): void {
    const pane = this.lightbox.reveal(ref.file);
    this.reading.select(ref);
    const finding = this.reading.analysis(ref.file)?.findings[ref.finding];
    if (!pane || !finding) return;
    pane.centre(finding.box);
    pane.root.scrollIntoView({ block: "nearest" }); // on a narrow window the table is below the views
  }
}

function commonWarnings(all: readonly (readonly string[])[]): string[] {
  const [first, ...rest] = all.filter((warnings) => warnings.length > 0);
  if (!first || rest.length === 0 || rest.length + 1 < all.length) return [];
  return first.filter((warning) => rest.every((warnings) => warnings.includes(warning)));
}

const warned = (text: string) => el("p", { class: "warning", text: `Warning: ${text}` });

function meanings(health: Health, point: string): HTMLElement[] {
  const only = onlySought(health);
  return [
    el("summary", { text: "What the numbers mean, and which models said so" }),
    el("p", {
      text: `Detection score, 0 to 1: how sure the detector is that there is ${only?.indefinite ?? "a finding of its kind"} here. It says nothing of malignancy.`,
    }),
    el("p", {
      text: `Malignancy, 0 to 100%: the calibrated probability that this ${only?.word ?? "finding"}, if it is one, is malignant. 46% means 46 in 100 such findings; from the operating point of ${point} the models call it malignant.`,
    }),
    el("p", {
      text: "Where: thirds are of the way from the nipple (anterior) to the chest wall (posterior); halves and hours are against the height in which the breast reaches furthest, and suppose that CC hangs with the outer side up, MLO with the head up.",
    }),
    el("p", { text: `Only ${soughtWords(health)} are looked for. No finding does not mean a healthy breast.` }),
    el(
      "p",
      { class: "legend" },
      el("span", { class: "malignant", text: `solid line: malignancy above the operating point of ${point}` }),
      el("span", { class: "benign", text: `dashed line: below ${point}` }),
      ...(only
        ? []
        : [el("span", { class: "ungraded", text: "this colour: of a kind whose malignancy the models do not grade" })]),
      el("span", { class: "drawn", text: "dotted line: drawn by the reader" }),
    ),
  ];
}
