/** The sheet of keys. */
import { button, el } from "./dom";
import type { Key } from "./keys";

export class HelpSheet {
  readonly root = el("dialog", { class: "sheet help-sheet", attributes: { "aria-labelledby": "help-title" } });

  fill(table: readonly Key[]): void {
    const rows = table
      .filter(({ shown }) => shown !== "")
      .map(({ shown, does }) => el("div", {}, el("dt", { text: shown }), el("dd", { text: does })));
    this.root.replaceChildren(
      el("h2", { text: "Keys and mouse", attributes: { id: "help-title" } }),
      el("dl", {}, ...rows),
      el(
        "p",
        { class: "quiet" },
        "Research use only. Not for diagnostic use. ",
        el("a", {
          text: "Licences of the software in this page",
          attributes: { href: "/assets/licences.txt", target: "_blank", rel: "noopener" },
        }),
      ),
      button("Close", () => this.root.close(), { attributes: { autofocus: "" } }),
    );
  }

  get isOpen(): boolean {
    return this.root.open;
  }

  toggle(): void {
    if (this.root.open) this.root.close();
    else this.root.showModal();
  }
}
