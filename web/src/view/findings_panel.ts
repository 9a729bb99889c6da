/** The right side: the threshold, what was found in each view, warnings, and which models said so. */
import type { Analysis, ExamFile, Finding, Health } from "../model/api";
import { readingOrder, title } from "../model/hanging";
import { kindOf, onlySought, soughtWords } from "../model/kinds";
import { malignancyPercent, operatingPointPercent, operatingPointWords } from "../model/malignancy";
import { patientFacts, patientName, studyFacts } from "../model/patient";
import type { FindingRef, Reading } from "../model/reading";
import { examOutcome, outcome, sizeWords } from "../model/threshold";
import { button, el } from "./dom";
import type { LightBox } from "./lightbox";

const MIXTURE = "These images do not state whose they are: they may be of several women. Nothing can be exported until you state that they are of one.";

/** One finding of the list; the threshold only shows and hides it. */
interface Item {
  ref: FindingRef;
  finding: Finding;
  root: HTMLElement;
  accept: HTMLButtonElement;
  reject: HTMLButtonElement;
  elsewhere: HTMLElement;
}

export class FindingsPanel {
  readonly root: HTMLElement;
  private readonly slider = el("input", { attributes: { type: "range", id: "threshold", step: "any", max: "1" } });
  private readonly number = el("output", { attributes: { for: "threshold" } });
  private readonly atBundle = el("span");
  private readonly patient = el("p", { class: "patient" });
  private readonly mixture = el("div", { class: "mixture" });
  private readonly status = el("p", { class: "outcome", attributes: { role: "status" } });
  private readonly warnings = el("div");
  private readonly list = el("div", { class: "findings" });
  private readonly meanings = el("details", { class: "meaning", attributes: { open: "", hidden: "" } });
  private readonly models = el("div", { class: "models" });
  private items: Item[] = [];
  private outcomes: { element: HTMLElement; analysis: Analysis }[] = [];
  private built = "";

  constructor(
    private readonly reading: Reading,
    private readonly lightbox: LightBox,
  ) {
    this.slider.addEventListener("input", () => reading.setThreshold(Number(this.slider.value)));
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
        el("p", { class: "quiet" }, this.atBundle, back),
      ),
      this.status,
      this.warnings,
      this.list,
      this.meanings,
      this.models,
    );
    reading.on(["exam", "files", "results", "threshold", "record", "selection"], () => this.draw());
    reading.on(["selection"], () => this.list.querySelector(".finding.selected")?.scrollIntoView({ block: "nearest" }));
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
    const text = examOutcome(reading.status, reading.analyses, reading.allShown.length, reading.threshold);
    if (this.status.textContent !== text) this.status.textContent = text;
    this.drawPatient();
    this.drawMixture();
    this.build();
    this.drawItems();
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

  /** Makes the list anew where more than the threshold, a verdict or the selection changed. */
  private build(): void {
    const { reading } = this;
    const ofExam = reading.status?.warnings ?? [];
    const parts = [reading.files, ofExam, reading.analyses !== null, reading.drawn.map(({ file }) => file), reading.health !== null];
    const signature = JSON.stringify(parts);
    if (signature === this.built) return;
    this.built = signature;
    const focus = document.activeElement instanceof HTMLElement ? document.activeElement.dataset["focus"] : undefined;
    this.items = [];
    this.outcomes = [];
    const files = readingOrder(reading.files);
    const common = commonWarnings(files.map((file) => this.warningsOf(file)));
    this.warnings.replaceChildren(...ofExam.map(warned), ...common.map((warning) => warned(`All views: ${warning}`)));
    this.list.replaceChildren(...files.map((file) => this.fileSection(file, common)));
    if (focus) this.list.querySelector<HTMLElement>(`[data-focus="${CSS.escape(focus)}"]`)?.focus();
    this.drawModels();
  }

  private drawItems(): void {
    const { reading } = this;
    for (const { element, analysis } of this.outcomes) {
      const text = outcome(analysis, reading.threshold);
      if (element.textContent !== text) element.textContent = text;
    }
    for (const { ref, finding, root, accept, reject, elsewhere } of this.items) {
      const isShown = finding.detection_score >= reading.threshold;
      if (root.hidden === isShown) root.hidden = !isShown;
      if (!isShown) continue;
      const verdict = reading.verdict(ref);
      root.classList.toggle("selected", reading.isSelected(ref));
      root.classList.toggle("rejected", verdict === "rejected");
      accept.setAttribute("aria-pressed", String(verdict === "accepted"));
      reject.setAttribute("aria-pressed", String(verdict === "rejected"));
      this.drawElsewhere(elsewhere, ref, finding);
    }
  }

  /** Where other views show the same lesion: only where they are above the threshold, too. */
  private drawElsewhere(elsewhere: HTMLElement, ref: FindingRef, finding: Finding): void {
    const counterparts = this.reading.counterparts(ref);
    const signature = JSON.stringify(counterparts);
    if (elsewhere.dataset["shown"] === signature) return;
    elsewhere.dataset["shown"] = signature;
    const { word } = kindOf(this.reading.health, finding);
    elsewhere.hidden = counterparts.length === 0;
    elsewhere.replaceChildren(
      ...counterparts.map((other) =>
        button(`Same ${word}: ${title(this.reading.file(other.file)?.view ?? null)}, finding ${other.finding + 1}`, () => this.show(other), {
          class: "quiet",
        }),
      ),
    );
  }

  private warningsOf(file: ExamFile): readonly string[] {
    return this.reading.analysis(file.number)?.warnings ?? file.view?.warnings ?? [];
  }

  private fileSection(file: ExamFile, common: readonly string[]): HTMLElement {
    const { reading } = this;
    const analysis = reading.analysis(file.number);
    const warnings = this.warningsOf(file).filter((warning) => !common.includes(warning));
    const drawn = reading.drawn.flatMap((one, index) => (one.file === file.number ? [index] : []));
    const said = el("p", { class: "quiet" });
    if (analysis) this.outcomes.push({ element: said, analysis });
    return el(
      "section",
      { attributes: { "data-file": String(file.number) } },
      el("h2", {}, file.view ? title(file.view) : "Not read", el("span", { class: "file-name", text: file.name })),
      file.error === null ? null : el("p", { class: "error", text: `Failed: ${file.error}` }),
      analysis ? said : null,
      ...warnings.map(warned),
      el(
        "ol",
        {},
        ...(analysis?.findings ?? []).map((finding, index) => this.item(analysis!, finding, { file: file.number, finding: index })),
        ...drawn.map((index) => this.drawnItem(index)),
      ),
    );
  }

  private item(analysis: Analysis, finding: Finding, ref: FindingRef): HTMLElement {
    const { reading } = this;
    const kind = kindOf(reading.health, finding);
    const { malignancy } = analysis.thresholds;
    const id = `${ref.file}/${ref.finding}`;
    const show = el(
      "button",
      { class: "show", attributes: { type: "button", "data-focus": `show ${id}`, title: "Centre the view on it" } },
      el("span", { class: `chip ${finding.malignancy}`, text: String(ref.finding + 1) }),
      score("malignancy", malignancyPercent(finding.malignancy_score, malignancy), operatingPointWords(finding.malignancy_score, malignancy)),
      score("detection", finding.detection_score.toFixed(2), finding.detection_score >= this.ofModels ? `${kind.indefinite}, by the models' threshold` : "below the models' threshold"),
      el("span", { class: "size", text: sizeWords(finding, kind) }),
    );
    show.addEventListener("click", () => this.show(ref));
    const judge = (text: string, value: "accepted" | "rejected") =>
      button(text, () => reading.judge(ref, value), {
        attributes: {
          "aria-label": `${text} finding ${ref.finding + 1} of ${title(reading.file(ref.file)?.view ?? null)}`,
          "data-focus": `${value} ${id}`,
        },
      });
    const elsewhere = el("div", { class: "elsewhere", attributes: { hidden: "" } });
    const [accept, reject] = [judge("Accept", "accepted"), judge("Reject", "rejected")];
    const root = el(
      "li",
      { class: `finding ${finding.malignancy}`, attributes: { "data-finding": String(ref.finding) } },
      show,
      elsewhere,
      el("div", { class: "verdicts" }, accept, reject),
    );
    this.items.push({ ref, finding, root, accept, reject, elsewhere });
    return root;
  }

  private drawnItem(index: number): HTMLElement {
    return el(
      "li",
      { class: "finding drawn" },
      el("span", { class: "chip drawn", text: String(index + 1) }),
      el("span", { text: "drawn by the reader" }),
      button("Remove", () => this.reading.removeDrawn(index), { attributes: { "aria-label": `Remove drawn finding ${index + 1}` } }),
    );
  }

  private get allScores(): number[] {
    return (this.reading.analyses ?? []).flatMap(({ findings }) => findings.map((finding) => finding.malignancy_score));
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
    this.meanings.replaceChildren(...meanings(health, point));
    this.models.replaceChildren(...lines.map((text) => el("p", { text })));
  }

  /** Selects a finding and brings it to the middle of its view. */
  show(ref: FindingRef): void {
    const pane = this.lightbox.reveal(ref.file);
    this.reading.select(ref);
    const finding = this.reading.analysis(ref.file)?.findings[ref.finding];
    if (pane && finding) pane.centre(finding.box);
  }
}

function commonWarnings(all: readonly (readonly string[])[]): string[] {
  const [first, ...rest] = all.filter((warnings) => warnings.length > 0);
  if (!first || rest.length === 0 || rest.length + 1 < all.length) return [];
  return first.filter((warning) => rest.every((warnings) => warnings.includes(warning)));
}

const warned = (text: string) => el("p", { class: "warning", text: `Warning: ${text}` });

function score(name: string, value: string, words: string): HTMLElement {
  return el(
    "span",
    { class: "score" },
    el("span", { text: `${name} ` }),
    el("strong", { text: value }),
    el("span", { class: "score-words", text: ` ${words}` }),
  );
}

function meanings(health: Health, point: string): HTMLElement[] {
  const only = onlySought(health);
  return [
    el("summary", { text: "What the scores mean" }),
    el("p", { text: `Detection score, 0 to 1: how sure the detector is that there is ${only?.indefinite ?? "a finding of its kind"} here. It says nothing of malignancy.` }),
    el("p", { text: `Malignancy, 0 to 100%: the calibrated probability that this ${only?.word ?? "finding"}, if it is one, is malignant. 46% means 46 in 100 such findings; from the operating point of ${point} the models call it malignant.` }),
    el("p", { text: `Only ${soughtWords(health)} are looked for. No finding does not mean a healthy breast.` }),
    el(
      "p",
      { class: "legend" },
      el("span", { class: "malignant", text: `solid line: malignancy above the operating point of ${point}` }),
      el("span", { class: "benign", text: `dashed line: below ${point}` }),
      el("span", { class: "drawn", text: "dotted line: drawn by the reader" }),
    ),
  ];
}
