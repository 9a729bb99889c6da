/** A side of the page that can be folded away; the browser remembers which are. */
import type { Panel } from "./toolbar";

/** Narrower than this, the image has the page to itself at first. */
const NARROW = 900;

export class FoldingPanel implements Panel {
  private readonly listeners: (() => void)[] = [];

  constructor(
    private readonly root: HTMLElement,
    readonly name: string,
    readonly words: string,
    readonly key: string,
    private readonly foldsWhereNarrow: boolean,
  ) {
    root.hidden =
      (localStorage.getItem(this.kept) ?? (foldsWhereNarrow && innerWidth < NARROW ? "folded" : "open")) === "folded";
  }

  get isOpen(): boolean {
    return !this.root.hidden;
  }

  toggle(): void {
    this.root.hidden = this.isOpen;
    // What a narrow window folds says nothing of a wide one.
    if (innerWidth >= NARROW || !this.foldsWhereNarrow)
      localStorage.setItem(this.kept, this.isOpen ? "open" : "folded");
    for (const listener of this.listeners) listener();
  }

  on(listener: () => void): void {
    this.listeners.push(listener);
  }

  private get kept(): string {
    return `mammoscope-panel-${this.name.toLowerCase()}`;
  }
}
