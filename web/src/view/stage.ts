/**
 * Cornerstone3D as this page uses it: one rendering engine, stack viewports, our own image loader.
 *
 * The world is the original image: x in columns, y in rows times the pixel aspect, so that pixel i covers [i, i + 1).
 * Only the core is used. Its tools would bring 3.9 MB and draw their text with style attributes, which the page's
 * Content-Security-Policy refuses.
 */
import {
  cache,
  Enums,
  imageLoader,
  init,
  metaData,
  RenderingEngine,
  utilities,
  type StackViewport,
  type Types,
} from "@cornerstonejs/core";
import type { Camera, Size } from "../model/frames";
import { screenMap } from "../model/frames";
import type { ViewImage } from "../model/images";
import type { Window } from "../model/windowing";
import { greyTable, sampled, shade } from "./painter";

/** What draws one pane's image. `rendered` is called in the frame in which the image changed. */
export interface Screen {
  show(image: ViewImage, aspect: number): Promise<void>;
  draw(camera: Camera, window: Window, isInverted: boolean): void;
  resize(): void;
  close(): void;
}

const EYE_DISTANCE = 1000;

export class Stage {
  private readonly images = new Map<string, { image: ViewImage; aspect: number }>();
  private readonly engine: RenderingEngine | null;
  private opened = 0;
  readonly longestSide: number;

  constructor() {
    this.longestSide = largestTexture();
    if (this.longestSide === 0) {
      this.engine = null;
      this.longestSide = Number.MAX_SAFE_INTEGER;
      return;
    }
    const rendering = { useCPURendering: false, webGlContextCount: 4 };
    init({ rendering } as Parameters<typeof init>[0]); // it completes what is left out
    cache.setMaxCacheSize(2 ** 31);
    imageLoader.registerImageLoader("mammoscope", (imageId) => ({
      promise: Promise.resolve(this.image(imageId)),
    }));
    metaData.addProvider((type: string, imageId: string) => this.describe(type, imageId), 10);
    this.engine = new RenderingEngine("stage");
  }

  /** Opens a screen in an element that is in the document; `rendered` is told of each frame. */
  open(element: HTMLDivElement, rendered: () => void): Screen {
    if (!this.engine) return new PlainScreen(element, rendered);
    return new CornerstoneScreen(this, this.engine, `pane-${++this.opened}`, element, rendered);
  }

  register(image: ViewImage, aspect: number): void {
    this.images.set(image.key, { image, aspect });
  }

  forget(key: string): void {
    this.images.delete(key);
    if (cache.getImageLoadObject(key)) cache.removeImageLoadObject(key, { force: true });
  }

  private image(imageId: string): Types.IImage {
    const known = this.images.get(imageId);
    if (!known) throw new Error(`no image ${imageId}`);
    const { samples, rows, columns, columnSize, rowSize, presets } = known.image;
    const dataType = samples instanceof Uint8Array ? "Uint8Array" : "Uint16Array";
    return {
      imageId,
      minPixelValue: 0,
      maxPixelValue: samples instanceof Uint8Array ? 255 : 65535,
      slope: 1,
      intercept: 0,
      windowCenter: presets.default.center,
      windowWidth: presets.default.width,
      voiLUTFunction: Enums.VOILUTFunctionType.LINEAR,
      getPixelData: () => samples,
      getCanvas: () => {
        throw new Error("not drawn by the CPU");
      },
      rows,
      columns,
      height: rows,
      width: columns,
      color: false,
      rgba: false,
      numberOfComponents: 1,
      columnPixelSpacing: columnSize,
      rowPixelSpacing: rowSize * known.aspect,
      invert: false,
      photometricInterpretation: "MONOCHROME2",
      sizeInBytes: samples.byteLength,
      dataType,
      voxelManager: utilities.VoxelManager.createImageVoxelManager({
        width: columns,
        height: rows,
        scalarData: samples,
        numberOfComponents: 1,
      }),
    };
  }

  private describe(type: string, imageId: string): unknown {
    const known = this.images.get(imageId);
    if (!known) return undefined;
    const { image, aspect } = known;
    if (type === "imagePixelModule") {
      const bits = image.samples instanceof Uint8Array ? 8 : 16;
      return {
        bitsAllocated: bits,
        bitsStored: bits,
        highBit: bits - 1,
        samplesPerPixel: 1,
        pixelRepresentation: 0,
        photometricInterpretation: "MONOCHROME2",
      };
    }
    if (type === "imagePlaneModule") {
      const [columnSize, rowSize] = [image.columnSize, image.rowSize * aspect];
      return {
        rows: image.rows,
        columns: image.columns,
        // Cornerstone counts from the middle of the first pixel.
        imagePositionPatient: [image.left + columnSize / 2, image.top * aspect + rowSize / 2, 0],
        imageOrientationPatient: [1, 0, 0, 0, 1, 0],
        rowCosines: [1, 0, 0],
        columnCosines: [0, 1, 0],
        columnPixelSpacing: columnSize,
        rowPixelSpacing: rowSize,
        frameOfReferenceUID: imageId,
      };
    }
    if (type === "generalSeriesModule") return { modality: "MG" };
    return undefined;
  }
}

/** Longest side of an image that the graphics card takes; 0: there is no WebGL 2. */
function largestTexture(): number {
  const context = new OffscreenCanvas(1, 1).getContext("webgl2");
  const side = context ? (context.getParameter(context.MAX_TEXTURE_SIZE) as number) : 0;
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  return side;
}

class CornerstoneScreen implements Screen {
  private readonly viewport: StackViewport;
  private aspect = 1;
  private image: ViewImage | null = null;
  private camera: Camera | null = null;
  private redraw: () => void = () => undefined;

  constructor(
    private readonly stage: Stage,
    private readonly engine: RenderingEngine,
    private readonly id: string,
    private readonly element: HTMLDivElement,
    private readonly rendered: () => void,
  ) {
    engine.enableElement({ viewportId: id, type: Enums.ViewportType.STACK, element });
    this.viewport = engine.getViewport<StackViewport>(id);
    element.addEventListener(Enums.Events.IMAGE_RENDERED, this.afterFrame);
  }

  /** Cornerstone leaves out a change of size while a frame is on its way: it is made up for after that frame. */
  private readonly afterFrame = (): void => {
    const { canvas } = this.viewport;
    const ratio = globalThis.devicePixelRatio || 1;
    const isStale =
      Math.abs(canvas.width - this.element.clientWidth * ratio) > 1 ||
      Math.abs(canvas.height - this.element.clientHeight * ratio) > 1;
    if (isStale && this.element.clientWidth > 2 && this.element.clientHeight > 2) {
      this.resize();
      this.redraw();
    } else this.rendered();
  };

  async show(image: ViewImage, aspect: number): Promise<void> {
    this.aspect = aspect;
    this.image = image;
    this.stage.register(image, aspect);
    await this.viewport.setStack([image.key]);
  }

  draw(camera: Camera, window: Window, isInverted: boolean): void {
    if (!this.image) return;
    this.redraw = () => this.draw(camera, window, isInverted);
    if (camera !== this.camera) this.look(camera);
    const [lower, upper] = [window.center - window.width / 2, window.center + window.width / 2];
    this.viewport.setProperties({ voiRange: { lower, upper }, invert: isInverted });
    this.viewport.render();
  }

  private look(camera: Camera): void {
    this.camera = camera;
    const height = this.element.clientHeight;
    const [x, y] = [camera.x, camera.y * this.aspect];
    // Seen from behind, the image is mirrored.
    const side = camera.flipped ? 1 : -1;
    this.viewport.setCamera({
      focalPoint: [x, y, 0],
      position: [x, y, side * EYE_DISTANCE],
      viewPlaneNormal: [0, 0, side],
      viewUp: [0, -1, 0],
      parallelScale: height / 2 / camera.zoom,
    });
  }

  resize(): void {
    this.camera = null;
    this.engine.resize(true, true);
  }

  close(): void {
    this.element.removeEventListener(Enums.Events.IMAGE_RENDERED, this.afterFrame);
    this.engine.disableElement(this.id);
  }

  /** For tests: where Cornerstone itself puts an original point on the canvas. */
  canvasPoint(x: number, y: number): Types.Point2 {
    return this.viewport.worldToCanvas([x, y * this.aspect, 0]);
  }
}

/** The same without WebGL. */
class PlainScreen implements Screen {
  private readonly canvas = document.createElement("canvas");
  private image: ViewImage | null = null;
  private aspect = 1;
  private frame = 0;
  /** What is on screen but for its greys: a window changes nothing else. */
  private seen: { camera: Camera; size: Size; samples: Int32Array } | null = null;

  constructor(
    private readonly element: HTMLDivElement,
    private readonly rendered: () => void,
  ) {
    element.append(this.canvas);
    this.canvas.classList.add("plain-canvas");
  }

  async show(image: ViewImage, aspect: number): Promise<void> {
    this.image = image;
    this.aspect = aspect;
  }

  draw(camera: Camera, window: Window, isInverted: boolean): void {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      const size: Size = { width: this.element.clientWidth, height: this.element.clientHeight };
      if (!this.image || size.width === 0 || size.height === 0) return;
      const ratio = globalThis.devicePixelRatio || 1;
      const fine = { width: Math.round(size.width * ratio), height: Math.round(size.height * ratio) };
      const samples = this.samples(this.image, camera, fine, ratio);
      if (this.canvas.width !== fine.width) this.canvas.width = fine.width;
      if (this.canvas.height !== fine.height) this.canvas.height = fine.height;
      const context = this.canvas.getContext("2d")!;
      const target = context.createImageData(fine.width, fine.height);
      const entries = this.image.samples instanceof Uint8Array ? 256 : 65536;
      shade(target, samples, greyTable(window, isInverted, entries));
      context.putImageData(target, 0, 0);
      this.rendered();
    });
  }

  private samples(image: ViewImage, camera: Camera, size: Size, ratio: number): Int32Array {
    const { seen } = this;
    if (seen?.camera === camera && seen.size.width === size.width && seen.size.height === size.height)
      return seen.samples;
    const map = screenMap({ ...camera, zoom: camera.zoom * ratio }, size, this.aspect);
    this.seen = { camera, size, samples: sampled(image, map, size) };
    return this.seen.samples;
  }

  resize(): void {}

  close(): void {
    cancelAnimationFrame(this.frame);
    this.canvas.remove();
  }
}
