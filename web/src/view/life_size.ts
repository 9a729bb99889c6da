/** Millimetres of the files as millimetres of the monitor, once the reader has measured it against a bank card. */
import { CARD_MM, cssPixelsPerMm, keepCardWidth } from "../model/monitor";
import { button, el } from "./dom";
import type { LightBox } from "./lightbox";

const USUAL = 96 / 25.4; // CSS pixels for a millimetre, as browsers suppose
const CARD_HEIGHT_MM = 53.98;

export class LifeSize {
  readonly root = el("dialog", { class: "sheet life-size", attributes: { "aria-labelledby": "life-size-title" } });
  private readonly card = el("div", { class: "card", text: "as wide as a bank card" });
  private readonly slider = el("input", {
    attributes: { type: "range", min: "120", step: "1", "aria-label": "Width of the card", autofocus: "" },
  });

  constructor(private readonly lightbox: LightBox) {
    this.slider.addEventListener("input", () => this.draw());
    this.root.append(
      el("h2", { text: "Life size", attributes: { id: "life-size-title" } }),
      el("p", {
        text: `Once for this monitor: hold a bank card (${CARD_MM} mm wide) against the frame, and make the frame as wide.`,
      }),
      this.card,
      this.slider,
      el("p", {
        class: "quiet",
        text: "The browser remembers it, at any of its zooms. Measure again on another monitor: Shift and U.",
      }),
      el(
        "div",
        { class: "buttons" },
        button("Show life size", () => this.keep()),
        button("Cancel", () => this.root.close()),
      ),
    );
  }

  get isOpen(): boolean {
    return this.root.open;
  }

  /** Shows every view that states its spacing at life size; asks for the monitor where it was not measured. */
  show(): void {
    const known = cssPixelsPerMm(localStorage, ratio());
    if (known === null) this.measure();
    else for (const pane of this.lightbox.panes) pane.lifeSize(known);
  }

  measure(): void {
    this.slider.max = String(Math.round(0.9 * innerWidth)); // a frame that does not fit would be shown narrower
    this.slider.value = String(Math.round((cssPixelsPerMm(localStorage, ratio()) ?? USUAL) * CARD_MM));
    this.draw();
    this.root.showModal();
  }

  private draw(): void {
    const width = Number(this.slider.value);
    this.card.style.width = `${width}px`;
    this.card.style.height = `${(width * CARD_HEIGHT_MM) / CARD_MM}px`;
  }

  private keep(): void {
    keepCardWidth(localStorage, Number(this.slider.value), ratio());
    this.root.close();
    this.show();
  }
}

const ratio = () => globalThis.devicePixelRatio || 1;
