/** Puts the page together. */
import "./style/tokens.css";
import "./style/base.css";
import "./style/exams.css";
import "./style/viewer.css";
import "./style/overlay.css";
import "./style/panels.css";
import "./style/sheets.css";
import "./style/narrow.css";
import "./style/findings_table.css";
import { examNames } from "./model/exam_names";
import { ImageStore } from "./model/images";
import { Keeper } from "./model/keeper";
import { Reading } from "./model/reading";
import { Session } from "./model/session";
import { pageAddress } from "./view/address";
import { button, el } from "./view/dom";
import { listenForDrops } from "./view/drop";
import { ExamList } from "./view/exam_list";
import { FindingsPanel } from "./view/findings_panel";
import { HelpSheet } from "./view/help";
import { keyTable, listen } from "./view/keys";
import { LifeSize } from "./view/life_size";
import { LightBox } from "./view/lightbox";
import { FoldingPanel } from "./view/panel";
import { RecordPanel } from "./view/record_panel";
import { Stage } from "./view/stage";
import { Toolbar } from "./view/toolbar";

const UNSAVED = "Your reading of this exam is not saved yet and would be lost. Leave it all the same?";

const reading = new Reading();
const stage = new Stage();
const images = new ImageStore(stage.longestSide, (key) => stage.forget(key));
const keeper = new Keeper(reading);
const session = new Session(reading, images, pageAddress, async () => (await keeper.flush()) || confirm(UNSAVED));
const lightbox = new LightBox(reading, stage, images);
const findings = new FindingsPanel(reading, lightbox);
const record = new RecordPanel(reading, lightbox, keeper);
const help = new HelpSheet();
const lifeSize = new LifeSize(lightbox);
const list = new ExamList(reading, session);
const welcome = el(
  "div",
  { class: "welcome" },
  el("h2", { text: "Drop a mammogram or a four-view exam here" }),
  el("p", {
    text: "DICOM, PNG, JPEG, TIFF, PGM or ZIP files, or a folder of them. They stay on this server and go nowhere else.",
  }),
  button("Open the synthetic exam", () => void session.example(), { class: "primary" }),
);
const side = el(
  "aside",
  { class: "side", attributes: { "aria-label": "Findings and record" } },
  findings.root,
  record.root,
);
const exams = new FoldingPanel(list.root, "Exams", "the list of exams", "E", true);
const readings = new FoldingPanel(side, "Findings", "findings and record", "Q", false);
const toolbar = new Toolbar(reading, lightbox, lifeSize, () => help.toggle(), [exams, readings]);
const viewer = el("main", { class: "viewer" }, toolbar.root, lightbox.root, welcome);
document.querySelector("#page")!.append(list.root, viewer, side, help.root, lifeSize.root);

const table = keyTable({
  reading,
  lightbox,
  findings,
  lifeSize,
  help: () => help.toggle(),
  toggleList: () => exams.toggle(),
  toggleFindings: () => readings.toggle(),
});
help.fill(table);
listen(table, () => help.isOpen || lifeSize.isOpen);

const welcomeOrExam = () => {
  const isOpen = reading.status !== null;
  welcome.hidden = isOpen;
  lightbox.root.hidden = !isOpen;
};
reading.on(["exam", "files"], welcomeOrExam);
welcomeOrExam();

/** By the exam's neutral name: a title is kept in the browser's history, where no patient's name belongs. */
const entitle = () => {
  const name = examNames(session.exams).get(reading.status?.id ?? "");
  document.title = name ? `${name} - mammoscope` : "mammoscope";
};
session.on(entitle);
reading.on(["exam"], entitle);

addEventListener("beforeunload", (event) => {
  if (!reading.isUnsaved) return;
  void keeper.flush();
  event.preventDefault();
});
addEventListener("focus", () => void keeper.refresh());

listenForDrops((files) => void session.send(files));

/** What the browser tests ask. */
Object.assign(globalThis, { mammoscope: { reading, lightbox } });

void session.start();
