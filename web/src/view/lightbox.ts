/** The panes of the sheet that is shown, or of the one view that is enlarged. */
import { scaleIn } from "../model/breasts";
import { hang, inOneRow, sequence, type Place, type Sheet, type Step } from "../model/hanging";
import type { ImageStore, Source } from "../model/images";
import type { Reading } from "../model/reading";
import { hangsInRow } from "../model/scale";
import type { Preset } from "../model/windowing";
import { el } from "./dom";
import { Pane } from "./pane";
import type { Stage } from "./stage";
import { PaneTools } from "./tools";

interface Hung {
  pane: Pane;
  tools: PaneTools;
}

export class LightBox {
  readonly root = el("div", { class: "lightbox" });
  sheets: Sheet[] = [];
  private readonly hung = new Map<string, Hung>();
  private readonly empties = new Map<string, HTMLElement>();
  private readonly message = el("p", { class: "message", attributes: { role: "status", hidden: "" } });
  /** What the keyboard's crosshair does, for eyes and screen readers. */
  private readonly crosshair = el("p", { class: "crosshair-words", attributes: { role: "status" } });
  private exam: string | null = null;
  /** Panes that still show the window that their linked one had. */
  private readonly behind = new Set<Pane>();
  private frame = 0;

  constructor(
    private readonly reading: Reading,
    private readonly stage: Stage,
    private readonly images: ImageStore,
  ) {
    this.root.append(this.message, this.crosshair);
    reading.on(["exam", "files", "display", "selection", "scale"], () => this.hang());
    new ResizeObserver(() => this.hang()).observe(this.root);
    this.root.addEventListener("windowed", (event) => this.spreadWindow(event.target as HTMLElement));
  }

  /** In reading order. */
  get panes(): Pane[] {
    const order = [...this.root.children];
    const panes = [...this.hung.values()].map(({ pane }) => pane);
    return panes.sort((a, b) => order.indexOf(a.root) - order.indexOf(b.root));
  }

  /** The pane that keys and buttons act on. */
  get active(): Hung | null {
    const all = [...this.hung.values()];
    const focused = all.find(({ pane }) => pane.root.contains(document.activeElement));
    return focused ?? all.find(({ pane }) => pane.file === this.reading.activeFile) ?? all[0] ?? null;
  }

  pane(file: number): Pane | null {
    return this.panes.find((pane) => pane.file === file) ?? null;
  }

  /** Shows one view alone, or all again. */
  enlarge(file: number | null): void {
    const { reading } = this;
    reading.enlarged = reading.enlarged === file ? null : file;
    if (reading.enlarged === null && reading.display.mode === "both") reading.display.mode = "original";
    const shown = reading.enlarged;
    if (shown !== null) reading.activate(shown);
    this.hang();
    reading.tell("display");
    if (shown !== null) this.pane(shown)?.root.focus({ preventScroll: true });
  }

  turnTo(sheet: number): void {
    this.take({ sheet: Math.min(this.sheets.length - 1, Math.max(0, sheet)), row: null, file: null });
  }

  get steps(): Step[] {
    return sequence(this.sheets);
  }

  /** Which step of the reading sequence is shown; -1: none of them. */
  get stepNumber(): number {
    const { sheet, row, enlarged } = this.reading;
    return this.steps.findIndex(
      (step) =>
        step.sheet === sheet && (step.file === null ? enlarged === null && step.row === row : step.file === enlarged),
    );
  }

  /** Goes on in the reading sequence, or back; after its end it begins anew. */
  step(by: 1 | -1): void {
    const { steps, stepNumber } = this;
    const next = steps[(Math.max(0, stepNumber) + by + steps.length) % steps.length];
    if (!next) return;
    this.take(next);
    const file = next.file ?? this.panes[0]?.file ?? null;
    if (file === null) return;
    this.reading.activate(file);
    this.pane(file)?.root.focus({ preventScroll: true });
  }

  private take({ sheet, row, file }: Pick<Step, "sheet" | "row" | "file">): void {
    const { reading } = this;
    reading.sheet = sheet;
    reading.row = row;
    reading.enlarged = file;
    if (reading.display.mode === "both") reading.display.mode = "original";
    this.hang();
    reading.tell("display");
  }

  /** Brings a file on screen, whatever sheet it hangs on. */
  reveal(file: number): Pane | null {
    if (this.reading.enlarged !== null && this.reading.enlarged !== file) this.enlarge(file);
    const sheet = this.sheets.findIndex(({ places }) => places.some((place) => place.file === file));
    if (this.reading.enlarged === null && sheet >= 0 && !this.pane(file)) this.turnTo(sheet);
    return this.pane(file);
  }

  /** A preset for every pane, or for the active one alone. */
  usePreset(preset: Preset): void {
    const panes = this.reading.display.windowsLinked ? this.panes : this.active ? [this.active.pane] : [];
    panes.forEach((pane) => pane.usePreset(preset));
  }

  fitBreasts(): void {
    this.panes.forEach((pane) => pane.fitBreast());
  }

  resetAll(): void {
    this.panes.forEach((pane) => pane.reset());
  }

  private spreadWindow(from: HTMLElement): void {
    const source = this.panes.find((pane) => pane.root === from);
    if (!source || !this.reading.display.windowsLinked) return;
    for (const { number } of this.reading.files) this.reading.view(number).windows[source.source] = source.window;
    for (const pane of this.panes) if (pane !== source) this.behind.add(pane);
    this.follow();
  }

  /** Draws the linked panes one a frame, so that the one under the hand keeps up where software draws. */
  private follow(): void {
    if (this.frame) return;
    const [next] = this.behind;
    if (!next) {
      delete this.root.dataset["pending"];
      return;
    }
    this.root.dataset["pending"] = "linked";
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.behind.delete(next);
      next.draw();
      this.follow();
    });
  }

  private hang(): void {
    const { reading } = this;
    const exam = reading.status?.id ?? null;
    if (exam !== this.exam) {
      this.hung.forEach(({ pane }) => pane.close());
      this.hung.clear();
      this.exam = exam;
    }
    const isWhole = reading.status?.state === "done" || reading.status?.state === "failed";
    this.sheets = hang(reading.files, isWhole);
    reading.sheet = Math.min(reading.sheet, Math.max(0, this.sheets.length - 1));
    this.fill(this.placesOf(this.arranged(this.sheets[reading.sheet])));
  }

  /** A sheet as it has room: the row that is shown of it, or CC pair beside MLO pair where that fills the screen better. */
  private arranged(sheet: Sheet | undefined): Sheet {
    if (!sheet) return { rows: 1, columns: 1, places: [], isStandard: false };
    const { row, enlarged } = this.reading;
    if (enlarged !== null) return sheet;
    if (row !== null && row < sheet.rows) {
      const places = sheet.places.filter((place) => place.row === row).map((place) => ({ ...place, row: 0 }));
      return { ...sheet, rows: 1, places };
    }
    const room = { width: this.root.clientWidth, height: this.root.clientHeight };
    return sheet.isStandard && sheet.rows === 2 && sheet.columns === 2 && hangsInRow(room, scaleIn(this.reading))
      ? inOneRow(sheet)
      : sheet;
  }

  private placesOf(sheet: Sheet): (Place & { source: Source })[] {
    const { enlarged, display } = this.reading;
    const rows = enlarged === null ? sheet.rows : 1;
    const isDouble = display.mode === "both";
    if (isDouble && enlarged === null && sheet.places.length > 1) {
      // Side by side is for one view: two images of it.
      const file = this.reading.activeFile ?? sheet.places.find((place) => place.file !== null)?.file ?? null;
      this.reading.enlarged = file;
      return this.placesOf(sheet);
    }
    this.root.dataset["rows"] = String(rows);
    this.root.dataset["columns"] = String(isDouble ? 2 : enlarged === null ? sheet.columns : 1);
    const source: Source = display.mode === "preprocessed" ? "preprocessed" : "original";
    const chosen = enlarged === null ? sheet.places : sheet.places.filter((place) => place.file === enlarged);
    if (!isDouble)
      return chosen.map((place) => ({ ...place, ...(enlarged === null ? {} : { row: 0, column: 0 }), source }));
    return chosen.flatMap((place) => [
      { ...place, row: 0, column: 0, source: "original" as const },
      { ...place, row: 0, column: 1, source: "preprocessed" as const },
    ]);
  }

  private fill(places: (Place & { source: Source })[]): void {
    const isUnderWay = this.reading.status?.state === "queued" || this.reading.status?.state === "running";
    const why = isUnderWay ? "Waiting for the first view." : "No file of this exam can be shown.";
    this.message.hidden = places.length > 0;
    this.message.textContent = places.length > 0 ? "" : why;
    const wanted = new Set(places.map((place) => keyOf(place)));
    for (const [key, { pane }] of this.hung) {
      const isOutdated =
        pane.source === "preprocessed" && !pane.view.preprocessed && this.reading.file(pane.file)?.view?.preprocessed;
      if (wanted.has(key) && !isOutdated) continue;
      pane.close();
      this.hung.delete(key);
    }
    for (const [key, element] of this.empties) {
      if (wanted.has(key)) continue;
      element.remove();
      this.empties.delete(key);
    }
    const isSingle = places.length === 1;
    for (const place of places) {
      const root = place.file === null ? this.empty(place) : this.paneOf(place, place.file).pane.root;
      root.dataset["row"] = String(place.row);
      root.dataset["column"] = String(place.column);
      root.classList.toggle("alone", isSingle);
      if (root.parentElement !== this.root) this.root.append(root);
    }
    this.putInOrder(places);
    for (const { pane } of this.hung.values()) {
      if (!pane.image && !pane.root.dataset["loading"]) {
        pane.root.dataset["loading"] = "yes";
        void pane.load();
      }
    }
  }

  /** Keyboard order is reading order. Elements in place are left alone: moving one would take its focus. */
  private putInOrder(places: (Place & { source: Source })[]): void {
    places.forEach((place, index) => {
      const root = place.file === null ? this.empties.get(keyOf(place)) : this.hung.get(keyOf(place))?.pane.root;
      const there = this.root.children[index];
      if (root && there !== root) this.root.insertBefore(root, there ?? null);
    });
  }

  private empty(place: Place & { source: Source }): HTMLElement {
    const key = keyOf(place);
    let element = this.empties.get(key);
    if (!element) {
      element = el("div", { class: "pane empty" });
      this.empties.set(key, element);
    }
    const isUnderWay = this.reading.status?.state === "queued" || this.reading.status?.state === "running";
    element.textContent = isUnderWay ? place.title : `no ${place.title}`;
    return element;
  }

  private paneOf(place: Place & { source: Source }, file: number): Hung {
    const key = keyOf(place);
    let hung = this.hung.get(key);
    if (!hung) {
      const pane = new Pane(this.reading, this.stage, this.images, file, place.source);
      const tools = new PaneTools(
        pane,
        () => this.enlarge(file),
        (text) => (this.crosshair.textContent = text),
      );
      hung = { pane, tools };
      this.hung.set(key, hung);
    }
    return hung;
  }
}

const keyOf = (place: Place & { source: Source }) =>
  place.file === null ? `empty ${place.title}` : `${place.file} ${place.source}`;
