/** One pane of the light box: an image, what is drawn over it, and the words in its corners. */
import type { Point, View } from "../model/api";
import { breastOf, hasNoBreast, oppositeOf, scaleIn } from "../model/breasts";
import {
  centredOn,
  clamp,
  fillingZoom,
  fit,
  panned,
  screenMap,
  toScreen,
  zoomedAt,
  type Box,
  type Camera,
  type ScreenMap,
  type Size,
} from "../model/frames";
import { isFlipped, title, wallInFile, wallInPane } from "../model/hanging";
import type { ImageStore, Source, ViewImage } from "../model/images";
import { patientFacts, patientName, studyFacts } from "../model/patient";
import type { Reading, ViewState } from "../model/reading";
import { levelMiddle, zoomOf, type Scale } from "../model/scale";
import { outcome } from "../model/threshold";
import { isInSight, keptOnTissue, nearestTissue, tissueOf } from "../model/tissue";
import type { Preset, Window } from "../model/windowing";
import { el } from "./dom";
import { Overlay } from "./overlay";
import type { Screen, Stage } from "./stage";

export class Pane {
  readonly root: HTMLElement;
  readonly overlay: Overlay;
  readonly view: View;
  image: ViewImage | null = null;
  /** Where the pointer is on it, in CSS pixels; null: elsewhere. */
  pointer: Point | null = null;
  private readonly element = el("div", { class: "image" });
  private readonly said = el("div", { class: "said" });
  private readonly looks = el("div");
  private readonly whose = el("span", { class: "whose" });
  private readonly mirrored = el("span", {
    class: "mirrored",
    text: "mirrored",
    attributes: { title: "The file has it the other way round", hidden: "" },
  });
  private readonly message = el("div", { class: "message", attributes: { role: "status" } });
  private readonly name: string;
  private readonly stopListening: (() => void)[];
  private readonly observer: ResizeObserver;
  private screen: Screen | null = null;
  /** What the screen was last told to show; null: it has to be told again. */
  private drawn: { camera: Camera; window: Window; isInverted: boolean } | null = null;
  private isClosed = false;

  constructor(
    readonly reading: Reading,
    private readonly stage: Stage,
    private readonly images: ImageStore,
    readonly file: number,
    readonly source: Source,
  ) {
    const view = reading.file(file)?.view;
    if (!view) throw new Error(`file ${file} has no view`);
    this.view = view;
    this.name = `${title(view)}${source === "preprocessed" ? ", preprocessed" : ""}`;
    this.overlay = new Overlay(reading, file, view.pixel_aspect, view.spacing);
    const heading = el("div", { class: "corner heading", text: title(view) });
    if (source === "preprocessed") heading.append(el("span", { class: "kind", text: "as the models see it" }));
    heading.append(this.mirrored, this.whose);
    this.root = el(
      "section",
      { class: "pane", attributes: { tabindex: "0", role: "application", "aria-roledescription": "mammogram" } },
      this.element,
      this.overlay.root,
      heading,
      el("div", { class: "corner facts" }, this.said, this.looks),
      this.message,
    );
    this.root.dataset["file"] = String(file);
    this.root.dataset["source"] = source;
    this.root.dataset["wall"] = wallInPane(view.laterality) ?? "none";
    this.stopListening = [
      reading.on(["camera"], () => this.draw()),
      reading.on(["display"], () => this.redisplay()),
      reading.on(["scale", "files", "results"], () => this.rescale()),
      reading.on(["threshold", "results", "selection", "record"], () => this.update()),
    ];
    this.observer = new ResizeObserver(() => this.resized());
  }

  get state(): ViewState {
    return this.reading.view(this.file);
  }

  get size(): Size {
    return { width: this.element.clientWidth, height: this.element.clientHeight };
  }

  get map(): ScreenMap | null {
    const camera = this.state.camera;
    return camera && screenMap(camera, this.size, this.view.pixel_aspect);
  }

  /** An original point, kept within the image, to a hundredth of a pixel. */
  inside([x, y]: Point): Point {
    const round = (value: number) => Math.round(value * 100) / 100;
    return [round(clamp(x, 0, this.view.columns)), round(clamp(y, 0, this.view.rows))];
  }

  /** Fetches and shows the image; the pane must be in the document. */
  async load(): Promise<void> {
    this.message.textContent = "loading";
    this.update();
    try {
      const exam = this.reading.status!.id;
      const image = await this.images.get(exam, this.file, this.view, this.source);
      if (this.isClosed) return;
      this.screen = this.stage.open(this.element, () => this.rendered());
      await this.screen.show(image, this.view.pixel_aspect);
      if (this.isClosed) return;
      this.image = image;
      if (image.samples instanceof Uint16Array) this.state.wall ??= wallInFile(this.view, image.samples);
      this.state.tissue ??= tissueOf(image);
      this.state.windows[this.source] ??= image.presets.default;
      this.refit();
      this.reading.tell("scale");
      this.message.textContent = "";
      this.observer.observe(this.element);
      this.draw();
    } catch (error) {
      if (!this.isClosed) this.message.textContent = error instanceof Error ? error.message : "cannot be shown";
    }
  }

  close(): void {
    this.isClosed = true;
    this.observer.disconnect();
    this.stopListening.forEach((stop) => stop());
    this.screen?.close();
    this.root.remove();
  }

  get window(): Window {
    return this.state.windows[this.source] ?? this.view.window;
  }

  setWindow(window: Window): void {
    this.state.windows[this.source] = window;
    this.draw();
  }

  usePreset(preset: Preset): void {
    if (this.image) this.setWindow(this.image.presets[preset]);
  }

  /** No key, button or drag leaves the pane without tissue. */
  moveTo(camera: Camera): void {
    this.state.camera = keptOnTissue(camera, this.size, this.view.pixel_aspect, this.state.tissue);
    this.state.fitted = null;
    this.reading.tell("camera");
  }

  pan(dx: number, dy: number): void {
    const { camera } = this.state;
    if (camera) this.moveTo(panned(camera, this.view, dx, dy));
  }

  zoomAt(x: number, y: number, factor: number): void {
    const { camera } = this.state;
    if (camera) this.moveTo(zoomedAt(camera, this.size, this.view.pixel_aspect, [x, y], factor));
  }

  /** One pixel of the file on one of the monitor. */
  pixelForPixel(): void {
    this.zoomTo(1 / (globalThis.devicePixelRatio || 1));
  }

  /** As large as on the detector, on a monitor with so many CSS pixels for a millimetre; nothing where the spacing is not known. */
  lifeSize(pixelsPerMm: number): void {
    if (this.view.spacing) this.zoomTo(this.view.spacing.column_mm * pixelsPerMm);
  }

  private zoomTo(zoom: number): void {
    const { camera } = this.state;
    const finding = this.selectedMiddle;
    if (!camera) return;
    if (!this.pointer && finding && !this.isInSight(finding))
      this.moveTo({ ...camera, x: finding[0], y: finding[1], zoom });
    else this.zoomBy(zoom / camera.zoom);
  }

  /** Zooms about the pointer where it is on this pane, else the selected finding, else the breast. */
  zoomBy(factor: number): void {
    const { map, pointer } = this;
    if (!map) return;
    const [x, y] = pointer ?? toScreen(map, this.zoomPoint);
    this.zoomAt(x, y, factor);
  }

  private get zoomPoint(): Point {
    const { camera, fitted, tissue } = this.state;
    const finding = this.selectedMiddle;
    if (finding && this.isInSight(finding)) return finding;
    const middle: Point = [camera!.x, camera!.y];
    if (!tissue) return middle;
    return fitted ? tissue.middle : nearestTissue(middle, this.view.pixel_aspect, tissue);
  }

  private get selectedMiddle(): Point | null {
    const { selected } = this.reading;
    const box = selected?.file === this.file ? this.reading.finding(selected)?.box : null;
    return box ? [(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2] : null;
  }

  private isInSight(point: Point): boolean {
    const { camera } = this.state;
    return camera !== null && isInSight(camera, this.size, this.view.pixel_aspect, point);
  }

  centre(box: Box): void {
    const { camera } = this.state;
    if (camera) this.moveTo(centredOn(camera, this.size, this.view.pixel_aspect, box));
  }

  /** The whole image. */
  fit(): void {
    const { columns, rows, pixel_aspect } = this.view;
    this.state.fitted = "image";
    this.fitTo(
      { x0: 0, y0: 0, x1: columns, y1: rows },
      fillingZoom({ width: columns, height: rows }, this.size, pixel_aspect),
    );
  }

  /** The breast alone, at the scale that suits the largest one of the exam: all views keep one scale. */
  fitBreast(): void {
    const scale = scaleIn(this.reading);
    const box = breastOf(this.reading, this.file);
    if (!box || !scale) {
      this.fit();
      this.state.fitted = "breast"; // once it is known
      return;
    }
    this.state.fitted = "breast";
    const zoom = zoomOf(scale, this.view, this.size);
    this.fitTo(box, zoom, this.levelled(box, zoom, scale));
  }

  /** The row in the middle at which the nipple is level with the other breast's; null: nothing is known of that. */
  private levelled(box: Box, zoom: number, scale: Scale): number | null {
    const { reading } = this;
    const other = oppositeOf(reading, this.file);
    const [own, view] = [reading.file(this.file)?.view, other === null ? null : reading.file(other)?.view];
    const otherBox = other === null ? null : breastOf(reading, other);
    if (!own || !view || !otherBox) return null;
    const beside = { view, box: otherBox, zoom: zoomOf(scale, view, this.size) * view.pixel_aspect };
    return levelMiddle({ view: own, box, zoom: zoom * own.pixel_aspect }, beside, this.size.height);
  }

  private fitTo(box: Box, zoom: number, middle: number | null = null): void {
    const { view, state } = this;
    const wall = state.wall ?? (view.preprocessed && view.preprocessed.from_original.scale_x < 0 ? "right" : "left");
    // Without a breast there is no chest wall to hang it by: the image is as in the file.
    const isKnown = !hasNoBreast(this.reading, this.file);
    const fitted = fit(
      box,
      this.size,
      zoom,
      isKnown ? wallInPane(view.laterality) : null,
      isKnown && isFlipped(view, wall),
    );
    const camera = middle === null ? fitted : { ...fitted, y: middle };
    const was = state.camera;
    if (was && camera.x === was.x && camera.y === was.y && camera.zoom === was.zoom && camera.flipped === was.flipped)
      return;
    state.camera = camera;
    this.reading.tell("camera");
  }

  /** Keeps what fills the pane filling it, where more became known of the breasts. */
  private rescale(): void {
    if (!this.image || this.size.width === 0) return;
    if (this.state.fitted) this.refit();
    else if (this.state.camera?.flipped && hasNoBreast(this.reading, this.file)) this.fit();
  }

  private refit(): void {
    const { camera, fitted } = this.state;
    if (fitted === "breast") this.fitBreast();
    else if (fitted === "image" || !camera) this.fit();
    else this.moveTo(camera);
  }

  /** The image, the window and the place as they were at first. */
  reset(): void {
    this.usePreset("default");
    this.fitBreast();
  }

  /** Draws the image where something changed of what it shows; cameras and windows are replaced, never written to. */
  draw(): void {
    const { camera } = this.state;
    if (this.isClosed || !this.screen || !camera || !this.image || this.size.width === 0) return;
    const { window, drawn } = this;
    const { isInverted } = this.reading.display;
    if (drawn?.camera === camera && drawn.window === window && drawn.isInverted === isInverted) return;
    this.drawn = { camera, window, isInverted };
    this.root.dataset["pending"] = "frame";
    this.screen.draw(camera, window, isInverted);
  }

  /** For tests. */
  get cornerstone(): Screen | null {
    return this.screen;
  }

  private rendered(): void {
    const { map } = this;
    if (!map) return;
    this.overlay.place(map, this.size);
    this.writeFacts();
    delete this.root.dataset["pending"];
    this.root.dataset["frames"] = String(Number(this.root.dataset["frames"] ?? 0) + 1);
  }

  private redisplay(): void {
    this.draw();
    this.update();
  }

  private update(): void {
    this.overlay.update();
    const { reading } = this;
    const count = reading.analysis(this.file) ? `, ${reading.shown(this.file).length} findings shown` : "";
    this.root.setAttribute("aria-label", this.name + count);
    this.root.classList.toggle("active", reading.activeFile === this.file);
    this.root.dataset["tool"] = reading.display.tool;
    this.writeFacts();
    this.writeWhose();
  }

  /** Whose image this is: always of the exam that is open, for a pane is closed with its exam. */
  private writeWhose(): void {
    const patient = this.reading.status?.patient ?? null;
    const text = patient
      ? [patientName(patient), patientFacts(patient), studyFacts(patient)].filter(Boolean).join("\n")
      : "";
    if (this.whose.textContent !== text) this.whose.textContent = text;
  }

  private writeFacts(): void {
    const { center, width } = this.window;
    const zoom = (this.state.camera?.zoom ?? 0) * (globalThis.devicePixelRatio || 1);
    const reduced = this.image && this.image.columnSize > 1 ? `, shown at 1/${this.image.columnSize}` : "";
    const analysis = this.reading.analysis(this.file);
    const said = analysis ? outcome(analysis, this.reading.threshold) : "";
    if (this.said.textContent !== said) this.said.textContent = said;
    const isInPixels = this.state.fitted === "breast" && scaleIn(this.reading)?.isInMm === false;
    const scale =
      isInPixels && this.reading.files.length > 1 ? ", one scale in pixels: not every file states its spacing" : "";
    const text = this.image
      ? `W ${width.toFixed(0)}  L ${center.toFixed(0)}  ${(100 * zoom).toFixed(0)} %${reduced}${scale}`
      : "";
    const isMirrored = this.state.camera?.flipped ?? false;
    if (this.mirrored.hidden === isMirrored) this.mirrored.hidden = !isMirrored;
    if (this.looks.textContent !== text) this.looks.textContent = text;
  }

  private resized(): void {
    const { width, height } = this.size;
    if (width === 0 || height === 0) return;
    this.screen?.resize();
    this.drawn = null;
    this.refit();
    this.draw();
  }
}
