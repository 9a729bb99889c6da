/** A lens at the pointer: the image's own pixels, at twice the zoom and at least one to one. */
import type { Point } from "../model/api";
import { screenMap, toOriginal } from "../model/frames";
import { el } from "./dom";
import { greyTable, sampled, shade } from "./painter";
import type { Pane } from "./pane";

const SIDE = 240;

export class Magnifier {
  private readonly canvas = el("canvas", { class: "lens", attributes: { hidden: "", "aria-hidden": "true" } });

  constructor(private readonly pane: Pane) {
    pane.root.append(this.canvas);
  }

  show(at: Point): void {
    const { pane, canvas } = this;
    const { map, image } = pane;
    const camera = pane.state.camera;
    if (!map || !image || !camera) return;
    const ratio = globalThis.devicePixelRatio || 1;
    const side = Math.round(SIDE * ratio);
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const context = canvas.getContext("2d")!;
    const [x, y] = toOriginal(map, at);
    const zoom = Math.max(2 * camera.zoom * ratio, 1);
    const lens = screenMap({ ...camera, x, y, zoom }, { width: side, height: side }, pane.view.pixel_aspect);
    const target = context.createImageData(side, side);
    const entries = image.samples instanceof Uint8Array ? 256 : 65536;
    shade(target, sampled(image, lens, target), greyTable(pane.window, pane.reading.display.isInverted, entries));
    context.putImageData(target, 0, 0);
    canvas.style.left = `${at[0] - SIDE / 2}px`;
    canvas.style.top = `${at[1] - SIDE / 2}px`;
    canvas.hidden = false;
  }

  hide(): void {
    this.canvas.hidden = true;
  }
}
