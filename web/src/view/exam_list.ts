/** The left side: ways to open files, exams with the progress of each file, errors beside what went well. */
import type { ExamFile, ExamStatus } from "../model/api";
import { examNames } from "../model/exam_names";
import { title } from "../model/hanging";
import { patientFacts, patientName, studyFacts } from "../model/patient";
import type { Reading } from "../model/reading";
import type { Session, Upload } from "../model/session";
import { imagesIn } from "../model/uploads";
import { button, el } from "./dom";

const STATES: Record<ExamFile["state"], string> = {
  queued: "waiting",
  reading: "reading",
  analysing: "analysing",
  done: "done",
  failed: "failed",
};

export class ExamList {
  readonly root: HTMLElement;
  private readonly list = el("ul", { class: "exams" });
  private readonly opened = el("p", { class: "quiet", attributes: { role: "status" } });
  private readonly parted = el("p", { class: "quiet", attributes: { role: "status" } });
  private readonly trouble = el("p", { class: "error", attributes: { role: "alert" } });

  constructor(
    private readonly reading: Reading,
    private readonly session: Session,
  ) {
    const files = chooser("Choose files", false, (chosen) => void session.send(chosen));
    const folder = chooser(
      "Choose a folder",
      true,
      (chosen) => void imagesIn(chosen).then((images) => session.send(images)),
    );
    this.root = el(
      "aside",
      { class: "exam-list", attributes: { "aria-label": "Exams" } },
      el("p", { class: "drop-hint", text: "Drop DICOM, PNG, JPEG, TIFF, PGM or ZIP files, or a folder, anywhere." }),
      el("div", { class: "open-buttons" }, files.button, files.input, folder.button, folder.input),
      button("Synthetic exam", () => void session.example(), {
        class: "wide",
        attributes: { title: "Four views of a synthetic phantom, made and analysed by the server" },
      }),
      this.trouble,
      this.opened,
      this.parted,
      el("h2", { text: "Exams" }),
      this.list,
    );
    session.on(() => this.draw());
    reading.on(["exam", "files"], () => this.draw());
  }

  private draw(): void {
    this.trouble.textContent = this.session.trouble ?? "";
    if (this.opened.textContent !== this.session.opened) this.opened.textContent = this.session.opened;
    if (this.parted.textContent !== this.session.parted) this.parted.textContent = this.session.parted;
    const focus = document.activeElement instanceof HTMLElement ? document.activeElement.dataset["focus"] : undefined;
    const names = examNames(this.session.exams);
    const rows = [
      ...this.session.uploads.map((upload) => this.uploadRow(upload)),
      ...this.session.exams.map((exam) => this.examRow(exam, names.get(exam.id)!)),
    ];
    if (rows.length === 0) rows.push(el("li", { class: "quiet", text: "None yet." }));
    this.list.replaceChildren(...rows);
    if (focus) this.list.querySelector<HTMLElement>(`[data-focus="${CSS.escape(focus)}"]`)?.focus();
  }

  private uploadRow(upload: Upload): HTMLElement {
    const files = upload.files.map(({ name, share }) =>
      el(
        "li",
        {},
        el("span", { class: "file-name", text: name }),
        bar(name, share, "uploading"),
        state(`uploading ${Math.round(100 * share)} %`),
      ),
    );
    if (upload.error === null) return el("li", { class: "exam open" }, el("ul", { class: "files" }, ...files));
    return el(
      "li",
      { class: "exam" },
      el("p", { class: "error", text: upload.error, attributes: { role: "alert" } }),
      button("Dismiss", () => this.session.dismiss(upload)),
    );
  }

  private examRow(exam: ExamStatus, name: string): HTMLElement {
    const isOpen = exam.id === this.reading.status?.id;
    const failed = exam.files.filter((file) => file.state === "failed").length;
    const summary = `${exam.files.length} ${exam.files.length === 1 ? "file" : "files"}, ${exam.state}${failed ? `, ${failed} failed` : ""}`;
    const who = patientName(exam.patient);
    const open = button(who || name, () => this.session.show(exam.id), {
      class: "exam-name",
      attributes: { "aria-current": String(isOpen), "data-focus": `open ${exam.id}` },
    });
    const remove = button("Delete", () => void this.delete(exam.id, `${name.toLowerCase()}${who && ` of ${who}`}`), {
      class: "quiet",
      attributes: {
        "aria-label": `Delete ${name.toLowerCase()}${who && ` of ${who}`}`,
        "data-focus": `delete ${exam.id}`,
      },
    });
    const isUnderWay = exam.state === "queued" || exam.state === "running";
    return el(
      "li",
      { class: isOpen ? "exam open" : "exam" },
      el("div", { class: "exam-head" }, open, remove),
      ...[exam.patient ? patientFacts(exam.patient) : "", exam.patient ? studyFacts(exam.patient) : ""]
        .filter(Boolean)
        .map((text) => el("p", { class: "whose", text })),
      el("p", { class: "quiet", text: who ? `${name}: ${summary}` : summary }),
      isUnderWay && !isOpen ? bar(name, exam.progress, exam.state) : null,
      isOpen ? el("ul", { class: "files" }, ...exam.files.map(fileRow)) : null,
    );
  }

  private async delete(id: string, name: string): Promise<void> {
    if (!confirm(`Delete ${name} and all its files from the server?`)) return;
    await this.session.remove(id);
  }
}

function fileRow(file: ExamFile): HTMLElement {
  const isUnderWay = file.state !== "done" && file.state !== "failed";
  const words = file.state === "failed" ? null : `${file.view ? `${title(file.view)}, ` : ""}${STATES[file.state]}`;
  return el(
    "li",
    { class: file.state, attributes: { "data-file": String(file.number) } },
    el("span", { class: "file-name", text: file.name }),
    isUnderWay ? bar(file.name, file.progress, STATES[file.state]) : null,
    words === null ? null : state(words),
    file.error === null ? null : el("p", { class: "error", text: `Failed: ${file.error}` }),
  );
}

const state = (text: string) => el("span", { class: "state", text });

function bar(name: string, share: number, words: string): HTMLProgressElement {
  const made = el("progress", { attributes: { max: "1", "aria-label": `${name}, ${words}` } });
  made.value = share;
  return made;
}

function chooser(text: string, isFolder: boolean, chosen: (files: File[]) => void) {
  const input = el("input", { attributes: { type: "file", multiple: "", hidden: "", "aria-label": text } });
  if (isFolder) input.setAttribute("webkitdirectory", "");
  input.addEventListener("change", () => {
    const files = [...(input.files ?? [])];
    input.value = "";
    chosen(files);
  });
  return { input, button: button(text, () => input.click()) };
}
