/** Above the light box: tools, windows, what is shown, and help. */
import type { Mode, Reading, ToolName } from "../model/reading";
import { PRESET_NAMES, PRESETS, type Preset } from "../model/windowing";
import { button, el } from "./dom";
import { icon } from "./icons";
import type { LifeSize } from "./life_size";
import type { LightBox } from "./lightbox";

const TOOLS: [ToolName, string, string][] = [
  ["window", "Window", "W"],
  ["pan", "Pan", "P"],
  ["zoom", "Zoom", "Z"],
  ["magnify", "Magnifier", "M"],
  ["length", "Measure", "L"],
];

const MODES: [Mode, string][] = [
  ["original", "Original"],
  ["preprocessed", "Preprocessed"],
  ["both", "Side by side"],
];

/** A side of the page that can be folded away. */
export interface Panel {
  name: string;
  /** For tooltips: what it holds. */
  words: string;
  key: string;
  readonly isOpen: boolean;
  toggle(): void;
  on(listener: () => void): void;
}

export class Toolbar {
  readonly root: HTMLElement;
  private readonly updates: (() => void)[] = [];

  constructor(
    private readonly reading: Reading,
    private readonly lightbox: LightBox,
    lifeSize: LifeSize,
    help: () => void,
    panels: readonly Panel[],
  ) {
    const folds = panels.map((panel) => this.fold(panel));
    this.root = el(
      "div",
      { class: "toolbar", attributes: { role: "toolbar", "aria-label": "Viewer" } },
      group("Panels", ...folds),
      group("Tool", ...TOOLS.map(([name, text, key]) => this.tool(name, text, key))),
      group(
        "Windowing",
        this.presets(),
        this.toggle("Invert", "I", "isInverted"),
        this.toggle("Link", "K", "windowsLinked", "Window all views together"),
      ),
      group("Image", ...MODES.map(([mode, text]) => this.mode(mode, text))),
      group(
        "View",
        button("Fit", () => lightbox.active?.pane.fit(), { attributes: { title: "Whole image (F)" } }),
        button("Breast", () => lightbox.fitBreasts(), {
          attributes: { title: "Breasts of all views, at one scale (G)" },
        }),
        button("1:1", () => lightbox.active?.pane.pixelForPixel(), {
          attributes: { title: "One pixel of the file on one of the monitor (0)" },
        }),
        this.life(lifeSize),
        this.enlarge(),
        button("Reset", () => lightbox.resetAll(), {
          attributes: { title: "Window, place and zoom of all views as at first (R)" },
        }),
      ),
      group(
        "Overlay",
        this.toggle("Outlines", "O", "outlines"),
        this.toggle("Boxes", "B", "boxes"),
        this.toggle("Labels", "T", "labels"),
        this.opacity(),
      ),
      this.sequence(),
      this.sheets(),
      button("Keys", help, { class: "help", attributes: { title: "All keys (?)" } }),
    );
    reading.on(["display", "files", "exam", "selection"], () => this.update());
    this.update();
  }

  private update(): void {
    for (const update of this.updates) update();
  }

  private pressed(made: HTMLButtonElement, isPressed: () => boolean): HTMLButtonElement {
    this.updates.push(() => made.setAttribute("aria-pressed", String(isPressed())));
    return made;
  }

  private tool(name: ToolName, text: string, key: string): HTMLButtonElement {
    const made = pictured(name, text, key, text, () => this.reading.change({ tool: name }));
    return this.pressed(made, () => this.reading.display.tool === name);
  }

  private toggle(
    text: string,
    key: string,
    name: "isInverted" | "windowsLinked" | "outlines" | "boxes" | "labels",
    words = text,
  ): HTMLButtonElement {
    const { reading } = this;
    const made = pictured(name, text, key, words, () => reading.change({ [name]: !reading.display[name] }));
    return this.pressed(made, () => reading.display[name]);
  }

  private mode(mode: Mode, text: string): HTMLButtonElement {
    const { reading } = this;
    const made = button(text, () => reading.change({ mode }), { attributes: { title: `${text} (V: next)` } });
    return this.pressed(made, () => reading.display.mode === mode);
  }

  private presets(): HTMLElement {
    const select = el("select", { attributes: { "aria-label": "Window preset", title: "Window preset (5 to 8)" } });
    select.append(el("option", { text: "Preset", attributes: { value: "" } }));
    for (const preset of PRESETS)
      select.append(el("option", { text: PRESET_NAMES[preset], attributes: { value: preset } }));
    select.addEventListener("change", () => {
      if (select.value) this.lightbox.usePreset(select.value as Preset);
      select.value = "";
    });
    return select;
  }

  private life(lifeSize: LifeSize): HTMLElement {
    const { reading } = this;
    const made = button("Life size", () => lifeSize.show());
    this.updates.push(() => {
      const isKnown = reading.files.some(({ view }) => view?.spacing);
      made.disabled = !isKnown;
      made.title = isKnown
        ? "Millimetres of the files as millimetres of this monitor (U; Shift and U measures the monitor again)"
        : "No file states its pixel spacing";
    });
    return made;
  }

  private enlarge(): HTMLElement {
    const { reading, lightbox } = this;
    const made = button(
      "One view",
      () => {
        const file = reading.enlarged ?? lightbox.active?.pane.file;
        if (file !== undefined) lightbox.enlarge(file);
      },
      { attributes: { title: "One view large, or all (Enter, double click)" } },
    );
    return this.pressed(made, () => reading.enlarged !== null);
  }

  private opacity(): HTMLElement {
    const { reading } = this;
    const slider = el("input", {
      attributes: {
        type: "range",
        min: "0",
        max: "1",
        step: "0.05",
        "aria-label": "Opacity of the overlay",
        title: "Opacity of the overlay",
      },
    });
    slider.value = String(reading.display.opacity);
    slider.addEventListener("input", () => reading.change({ opacity: Number(slider.value) }));
    return el("div", { class: "opacity" }, slider);
  }

  private fold(panel: Panel): HTMLElement {
    const made = button(panel.name, () => panel.toggle(), {
      attributes: { title: `Show or hide ${panel.words} (${panel.key})` },
    });
    panel.on(() => made.setAttribute("aria-expanded", String(panel.isOpen)));
    made.setAttribute("aria-expanded", String(panel.isOpen));
    return made;
  }

  /** The reading sequence: which step is shown, and on and back. */
  private sequence(): HTMLElement {
    const { lightbox } = this;
    const words = el("span", { class: "step", attributes: { role: "status" } });
    const made = group(
      "Reading sequence",
      button("‹", () => lightbox.step(-1), {
        attributes: { "aria-label": "Step before", title: "Step before (Shift and S)" },
      }),
      words,
      button("›", () => lightbox.step(1), {
        attributes: { "aria-label": "Next step", title: "Next step: all, CC pair, MLO pair, each view (S)" },
      }),
    );
    this.updates.push(() => {
      const { steps, stepNumber } = lightbox;
      made.hidden = steps.length < 2;
      words.textContent = steps[stepNumber]?.words ?? "-";
    });
    return made;
  }

  private sheets(): HTMLElement {
    const { reading, lightbox } = this;
    const words = el("span", { attributes: { role: "status" } });
    const made = group(
      "Sheets",
      button("‹", () => lightbox.turnTo(reading.sheet - 1), { attributes: { "aria-label": "Sheet before" } }),
      words,
      button("›", () => lightbox.turnTo(reading.sheet + 1), { attributes: { "aria-label": "Next sheet" } }),
    );
    this.updates.push(() => {
      made.hidden = lightbox.sheets.length < 2;
      words.textContent = `${reading.sheet + 1} of ${lightbox.sheets.length}`;
    });
    return made;
  }
}

function pictured(picture: string, name: string, key: string, words: string, press: () => void): HTMLButtonElement {
  const made = button("", press, { class: "pictured", attributes: { "aria-label": name, title: `${words} (${key})` } });
  made.append(icon(picture));
  return made;
}

function group(name: string, ...children: HTMLElement[]): HTMLElement {
  return el("div", { class: "group", attributes: { role: "group", "aria-label": name } }, ...children);
}
