/** The table of findings: one row a finding or lesion, sorted, with a verdict; the words of the one that is selected below it. */
import type { Finding, Verdict } from "../model/api";
import {
  lengthWords,
  longestIn,
  placeWords,
  rowsOf,
  sizeOf,
  sizeWords,
  viewsWords,
  type Row,
} from "../model/findings_table";
import { title } from "../model/hanging";
import { kindOf } from "../model/kinds";
import { malignancyPercent, operatingPointWords } from "../model/malignancy";
import type { FindingRef, Order, Reading } from "../model/reading";
import { button, el } from "./dom";

const REASONS = ["superimposed tissue", "lymph node", "scar", "skin, nipple or clip", "artefact", "known and benign"];
const REASON_LIST = "reasons";

const COLUMNS: readonly [name: string, order: Order | null, words: string][] = [
  ["Where", "where", "as the views hang"],
  ["Size", "size", "the largest first"],
  ["Detection", "detection", "the surest to be there first"],
  ["Malignancy", "malignancy", "the likeliest to be malignant first"],
  ["Verdict", null, ""],
];

/** A line of the table: of a finding, or of a lesion in several views, below which each of them has its own. */
interface Line {
  refs: readonly FindingRef[];
  root: HTMLTableSectionElement;
  accept: HTMLButtonElement;
  reject: HTMLButtonElement;
}

export class FindingsTable {
  readonly root: HTMLElement;
  private readonly table = el("table", { attributes: { "aria-label": "Findings" } });
  private readonly heads = new Map<Order, { cell: HTMLTableCellElement; press: HTMLButtonElement }>();
  private readonly sorting = el("caption", { class: "quiet" });
  private readonly drawnOnes = el("tbody", { class: "drawn-ones" });
  /** By the key of their row, while that is there. */
  private readonly lines = new Map<string, Line[]>();
  /** Keys of the lesions whose views are listed. */
  private readonly opened = new Set<string>();
  private built = "";

  constructor(
    private readonly reading: Reading,
    private readonly show: (ref: FindingRef) => void,
  ) {
    const heads = COLUMNS.map(([name, order, words]) => this.head(name, order, words));
    this.table.append(this.sorting, el("thead", {}, el("tr", {}, ...heads)), this.drawnOnes);
    const reasons = REASONS.map((value) => el("option", { attributes: { value } }));
    this.root = el(
      "div",
      { class: "findings" },
      this.table,
      el("datalist", { attributes: { id: REASON_LIST } }, ...reasons),
    );
  }

  /** `signature` says what rows are made of but for the threshold: where it changes, all are made anew. */
  draw(signature: string): void {
    const { reading } = this;
    const focus = document.activeElement instanceof HTMLElement ? document.activeElement.dataset["focus"] : undefined;
    const rows = rowsOf(reading);
    const keys = new Set(signature === this.built ? rows.map(({ key }) => key) : []);
    this.built = signature;
    for (const [key, lines] of this.lines) {
      if (keys.has(key)) continue;
      lines.forEach(({ root }) => root.remove());
      this.lines.delete(key);
    }
    const bodies = rows.flatMap((row) => {
      const lines = this.lines.get(row.key) ?? this.linesOf(row);
      this.lines.set(row.key, lines);
      this.update(row, lines);
      return lines.map(({ root }) => root);
    });
    bodies.forEach((body, place) => {
      const there = this.table.tBodies[place];
      if (there !== body) this.table.insertBefore(body, there ?? this.drawnOnes);
    });
    this.drawDrawn();
    this.drawHeads();
    this.table.hidden = rows.length === 0 && reading.drawn.length === 0;
    if (focus && document.activeElement?.matches("body"))
      this.root.querySelector<HTMLElement>(`[data-focus="${CSS.escape(focus)}"]`)?.focus();
  }

  /** Brings the selected row into sight. */
  reveal(): void {
    this.root.querySelector(".selected:not([hidden])")?.scrollIntoView({ block: "nearest" });
  }

  private head(name: string, order: Order | null, words: string): HTMLTableCellElement {
    const cell = el("th", { attributes: { scope: "col" } });
    if (!order) {
      cell.append(name);
      return cell;
    }
    const press = button(name, () => this.reading.sortBy(this.reading.order === order ? "suspicion" : order), {
      attributes: { title: `Sort: ${words}`, "data-focus": `sort ${order}` },
    });
    cell.append(press);
    this.heads.set(order, { cell, press });
    return cell;
  }

  private drawHeads(): void {
    const { order } = this.reading;
    for (const [own, { cell, press }] of this.heads) {
      if (own === order) cell.setAttribute("aria-sort", own === "where" ? "ascending" : "descending");
      else cell.removeAttribute("aria-sort");
      press.classList.toggle("sorted", own === order);
    }
    const words = COLUMNS.find(([, own]) => own === order)?.[2];
    const text = words ? `Sorted: ${words}` : "Most suspicious first: detection times malignancy";
    if (this.sorting.textContent !== text) this.sorting.textContent = text;
  }

  private linesOf({ refs }: Row): Line[] {
    if (refs.length === 1) return [this.line(refs, "finding")];
    return [this.line(refs, "lesion"), ...refs.map((ref) => this.line([ref], "finding part"))];
  }

  private update(row: Row, lines: readonly Line[]): void {
    const { reading } = this;
    const isOpen = this.opened.has(row.key);
    lines.forEach(({ refs, root, accept, reject }, place) => {
      const verdict = reading.commonVerdict(refs);
      root.classList.toggle(
        "selected",
        refs.some((ref) => reading.isSelected(ref)),
      );
      root.classList.toggle("rejected", verdict === "rejected");
      accept.setAttribute("aria-pressed", String(verdict === "accepted"));
      reject.setAttribute("aria-pressed", String(verdict === "rejected"));
      root.hidden = place > 0 && !isOpen;
      root.querySelector(".unfold")?.setAttribute("aria-expanded", String(isOpen));
    });
    this.drawWords(lines[0]!.root, row);
  }

  /** The whole words on the row that is selected: a click away, and not beside every number. */
  private drawWords(root: HTMLElement, row: Row): void {
    const { selected } = this.reading;
    const own = row.refs.find((ref) => ref.file === selected?.file && ref.finding === selected.finding);
    const there = root.querySelector<HTMLElement>(".words");
    const isRejected = this.reading.commonVerdict(row.refs) === "rejected";
    const key = own ? `${own.file}/${own.finding}${isRejected ? " rejected" : ""}` : "";
    if ((there?.dataset["of"] ?? "") !== key) {
      there?.remove();
      if (!own) return;
      const words = this.words(row, own).map((text) => el("p", { text }));
      const cell = el("td", { attributes: { colspan: "5" } }, ...words, isRejected ? this.reasonField(row.refs) : null);
      root.append(el("tr", { class: "words", attributes: { "data-of": key } }, cell));
    }
    const reason = root.querySelector<HTMLInputElement>(".reason input");
    if (reason && reason !== document.activeElement) reason.value = this.reading.reason(row.refs);
  }

  private reasonField(refs: readonly FindingRef[]): HTMLElement {
    const field = el("input", {
      attributes: { type: "text", maxlength: "200", list: REASON_LIST, "data-focus": "reason" },
    });
    field.addEventListener("input", () => this.reading.explain(refs, field.value));
    return el("label", { class: "reason" }, "Rejected because ", field);
  }

  private words(row: Row, ref: FindingRef): string[] {
    const { reading } = this;
    const finding = reading.finding(ref)!;
    const kind = kindOf(reading.health, finding);
    const view = reading.file(ref.file)?.view ?? null;
    const point = reading.analysis(ref.file)!.thresholds.malignancy;
    const own = reading.health?.thresholds.detection ?? 0.5;
    const { malignancy_score: malignancy, detection_score: detection } = finding;
    const where = [title(view), placeWords(reading, [ref])].filter(Boolean).join(": ");
    return [
      `${where}.`,
      `Malignancy ${[malignancyPercent(malignancy, point), operatingPointWords(malignancy, point)].filter(Boolean).join(", ")}.`,
      `Detection ${detection.toFixed(2)}, ${detection >= own ? `${kind.indefinite} by` : "below"} the models' threshold of ${own.toFixed(2)}.`,
      `${sentence(sizeWords(finding, kind, sizeOf(finding, view)))}.`,
      ...Object.entries(finding.features).map(([name, word]) => `${sentence(name)}: ${word}.`),
      ...(row.refs.length > 1
        ? [`Same ${kind.word} in ${viewsWords(reading, row.refs)}, by the models, which give it one malignancy.`]
        : []),
    ];
  }

  private line(refs: readonly FindingRef[], className: string): Line {
    const { reading } = this;
    const [first] = refs as [FindingRef];
    const findings = refs.map((ref) => reading.finding(ref)!);
    const surest = findings.reduce((best, one) => (one.detection_score > best.detection_score ? one : best));
    const worst = findings.reduce((best, one) =>
      (one.malignancy_score ?? -1) > (best.malignancy_score ?? -1) ? one : best,
    );
    const point = reading.analysis(first.file)!.thresholds.malignancy;
    const sizes = refs.map((ref, place) => sizeOf(findings[place]!, reading.file(ref.file)?.view ?? null));
    const size = sizes.reduce((best, one) => ((one?.value ?? 0) > (best?.value ?? 0) ? one : best));
    const id = refs.map(({ file, finding }) => `${file}/${finding}`).join("+");
    const name = `finding ${first.finding + 1} of ${viewsWords(reading, refs)}`;
    const [accept, reject] = [
      this.judge("Accept", "✓", "accepted", refs, name, id),
      this.judge("Reject", "✗", "rejected", refs, name, id),
    ];
    const data: Record<string, string> =
      refs.length === 1 ? { "data-file": String(first.file), "data-finding": String(first.finding) } : {};
    const grade = el(
      "td",
      { class: "number" },
      el("strong", { text: malignancyPercent(worst.malignancy_score, point) }),
      el("span", { class: "versus", text: sideWords(worst, point) }),
    );
    const verdict = el("td", { class: "verdicts" }, accept, reject);
    // What is in words has the room below what is in numbers.
    for (const cell of [grade, verdict]) cell.rowSpan = 2;
    const root = el(
      "tbody",
      { class: `${className} ${worst.malignancy ?? "ungraded"}`, attributes: data },
      el(
        "tr",
        {},
        el(
          "th",
          { class: "where", attributes: { scope: "row" } },
          el("div", {}, this.unfold(refs, id), this.showButton(refs, worst, name, id)),
        ),
        el("td", {
          class: "number",
          text: lengthWords(size),
          attributes: size?.unit === "px" ? { title: "In pixels: the file does not state their spacing" } : {},
        }),
        el("td", { class: "number", text: surest.detection_score.toFixed(2) }),
        grade,
        verdict,
      ),
      el("tr", {}, el("td", { class: "place", text: placeWords(reading, refs), attributes: { colspan: "3" } })),
    );
    return { refs, root, accept, reject };
  }

  private showButton(
    refs: readonly FindingRef[],
    { malignancy }: Finding,
    name: string,
    id: string,
  ): HTMLButtonElement {
    const [first] = refs as [FindingRef];
    const press = button("", () => this.show(first), {
      class: "show",
      attributes: { "data-focus": `show ${id}`, title: `Centre the view on ${name}` },
    });
    for (const ref of refs) {
      press.append(
        el(
          "span",
          { class: "ref" },
          el("span", { class: `chip ${malignancy ?? "ungraded"}`, text: String(ref.finding + 1) }),
          ` ${viewsWords(this.reading, [ref])}`,
        ),
      );
    }
    return press;
  }

  /** Opens a lesion into its views. */
  private unfold(refs: readonly FindingRef[], id: string): HTMLButtonElement | null {
    if (refs.length === 1) return null;
    const toggle = () => {
      if (!this.opened.delete(id)) this.opened.add(id);
      this.draw(this.built);
    };
    return button("", toggle, {
      class: "unfold",
      attributes: {
        "aria-expanded": "false",
        "aria-label": `The ${refs.length} views of ${viewsWords(this.reading, refs)}`,
        "data-focus": `unfold ${id}`,
      },
    });
  }

  private judge(
    word: string,
    sign: string,
    verdict: Verdict,
    refs: readonly FindingRef[],
    name: string,
    id: string,
  ): HTMLButtonElement {
    return button(sign, () => this.reading.judge(refs, verdict), {
      attributes: { "aria-label": `${word} ${name}`, title: word, "data-focus": `${verdict} ${id}` },
    });
  }

  private drawDrawn(): void {
    const { reading } = this;
    const signature = JSON.stringify(reading.drawn);
    if (this.drawnOnes.dataset["of"] === signature) return;
    this.drawnOnes.dataset["of"] = signature;
    this.drawnOnes.replaceChildren(
      ...reading.drawn.map(({ file, outline }, index) => {
        const view = reading.file(file)?.view ?? null;
        return el(
          "tr",
          { class: "finding drawn" },
          el(
            "th",
            { class: "where", attributes: { scope: "row" } },
            el("span", { class: "chip drawn", text: String(index + 1) }),
            ` ${title(view)}`,
          ),
          el("td", { class: "number", text: lengthWords(longestIn(outline, view)) }),
          el("td", { class: "number", text: "drawn by the reader", attributes: { colspan: "2" } }),
          el(
            "td",
            {},
            button("Remove", () => reading.removeDrawn(index), {
              attributes: { "aria-label": `Remove drawn finding ${index + 1}`, "data-focus": `remove ${index}` },
            }),
          ),
        );
      }),
    );
  }
}

/** "above 50%": on which side of the operating point. */
const sideWords = ({ malignancy_score: score }: Finding, point: number) =>
  operatingPointWords(score, point).replace("the operating point of ", "");

const sentence = (text: string) => `${text[0]?.toUpperCase() ?? ""}${text.slice(1)}`;
