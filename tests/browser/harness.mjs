// A server of our own, a browser, and what tests ask of both.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, "../..");
const require = createRequire(path.join(root, "web/package.json"));
export const { chromium } = require("playwright-core");
export const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const venv = path.join(root, ".venv/bin/python");
export const python = process.env.MAMMOSCOPE_PYTHON ?? (existsSync(venv) ? venv : "python3");
const browserPath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const BROWSER_FLAGS = [
  "--headless=new",
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // As on a machine without a graphics card: WebGL in software, and the page itself drawn without it.
  "--use-angle=swiftshader-webgl",
  "--enable-unsafe-swiftshader",
];

export const SMALL_SCREEN = { width: 1366, height: 768 };
export const PORTRAIT_SCREEN = { width: 2048, height: 2560 };

export function makeFiles() {
  const folder = mkdtempSync(path.join(tmpdir(), "mammoscope-browser-"));
  execFileSync(python, [path.join(here, "make_files.py"), folder], { stdio: ["ignore", "ignore", "inherit"] });
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Starts a server and waits for its address. */
export async function startServer(...options) {
  const server = spawn(python, ["-m", "mammoscope", "serve", ...options], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  server.stderr.on("data", (data) => (said += data));
  const address = await new Promise((resolve, reject) => {
    server.stdout.on("data", (data) => {
      const found = /http:\/\/[\w.[\]:]+/.exec(String(data));
      if (found) resolve(found[0]);
    });
    server.once("exit", () => reject(new Error(`the server ended: ${said}`)));
  });
  const stop = () =>
    new Promise((resolve) => {
      if (server.exitCode !== null) return resolve();
      server.once("exit", resolve);
      server.kill("SIGTERM");
    });
  return { address, stop };
}

export const launch = (...flags) => chromium.launch({ executablePath: browserPath, headless: true, args: [...BROWSER_FLAGS, ...flags] });

/** A page that keeps what went wrong on it: errors, refused content, requests to anywhere else. */
export async function openPage(browser, address, viewport = SMALL_SCREEN) {
  const context = await browser.newContext({ viewport, acceptDownloads: true });
  const page = await context.newPage();
  page.troubles = [];
  page.on("pageerror", (error) => page.troubles.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") page.troubles.push(`console: ${message.text()} ${message.location().url}`);
  });
  context.on("request", (request) => {
    const { url } = { url: request.url() };
    if (!url.startsWith(`${address}/`) && !/^(blob|data):/.test(url)) page.troubles.push(`request to ${url}`);
  });
  await page.goto(`${address}/`);
  return page;
}

/** Drops files on the page as a reader would. */
export async function drop(page, files) {
  await page.evaluate(() => {
    const input = document.createElement("input");
    input.type = "file";
    input.multiple = true;
    input.id = "dropped";
    document.body.append(input);
  });
  await page.setInputFiles("#dropped", files);
  await page.evaluate(() => {
    const input = document.querySelector("#dropped");
    const dataTransfer = new DataTransfer();
    for (const file of input.files) dataTransfer.items.add(file);
    input.remove();
    for (const type of ["dragenter", "dragover", "drop"]) {
      document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
    }
  });
}

/** Drops a file or a folder of this machine as the desktop does: the page gets it as an entry, not as a list of files. */
export async function dropFromDesktop(page, path) {
  const devtools = await page.context().newCDPSession(page);
  const data = { items: [], files: [path], dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"]) await devtools.send("Input.dispatchDragEvent", { type, x: 600, y: 400, data });
  await devtools.detach();
}

/** Waits until the open exam is another than `last` and has its results; gives its id. */
export async function analysed(page, last = null) {
  const done = await page.waitForFunction(
    (last) => {
      const { reading } = globalThis.mammoscope;
      return reading.status && reading.status.id !== last && reading.analyses ? reading.status.id : false;
    },
    last,
    { timeout: 120_000, polling: 100 },
  );
  return done.jsonValue();
}

/** Waits until so many panes have drawn their image, and no frame is on its way. */
export async function drawn(page, count) {
  await page.waitForFunction(
    (count) => document.querySelectorAll(".pane[data-frames]").length === count && !document.querySelector(".message:not(:empty)"),
    count,
    { timeout: 60_000, polling: 50 },
  );
  await settled(page);
}

/** Waits until every pane shows what it should. */
export async function settled(page) {
  await page.evaluate(async () => {
    const isPending = () => document.querySelector("[data-pending]") !== null;
    const pause = () => new Promise((resolve) => setTimeout(resolve, 60));
    do await pause();
    while (isPending() || (await pause(), isPending()));
  });
}

/** What every so many-th pixel of the first pane shows, 0 to 255. */
export function greys(page, step = 3) {
  return page.evaluate((step) => {
    const canvas = document.querySelector(".pane canvas");
    const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const seen = [];
    for (let y = 0; y < height; y += step) for (let x = 0; x < width; x += step) seen.push(data[4 * (y * width + x)]);
    return seen;
  }, step);
}

/**
 * Median milliseconds of 15 steps of a drag that changes the window, each until the view under the hand is drawn while the linked
 * ones follow; of 15 window changes until all views are drawn; and of 15 steps of the threshold.
 */
export function frameTimes(page) {
  return page.evaluate(async () => {
    const { lightbox, reading } = globalThis.mammoscope;
    const { panes } = lightbox;
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    const median = async (act) => {
      const times = [];
      for (let step = 0; step < 15; step++) {
        const start = performance.now();
        await act(step);
        times.push(performance.now() - start);
      }
      return Math.round(times.sort((a, b) => a - b)[7]);
    };
    const windowed = (panesDrawn, start) => async (step) => {
      const before = panesDrawn.map((pane) => pane.root.dataset.frames);
      panes[0].setWindow({ center: start + 100 * step, width: 50000 });
      panes[0].root.dispatchEvent(new CustomEvent("windowed", { bubbles: true }));
      while (panesDrawn.some((pane, place) => pane.root.dataset.frames === before[place])) await frame();
    };
    const window = await median(windowed([panes[0]], 30000));
    const linked = await median(windowed(panes, 40000));
    const was = reading.threshold;
    const threshold = await median(async (step) => {
      reading.setThreshold(0.2 + step * 0.05);
      await frame();
      await new Promise((resolve) => setTimeout(resolve));
    });
    reading.setThreshold(was);
    lightbox.resetAll();
    return { window, linked, threshold };
  });
}

/** Share of two polygons that they have in common, counted on a grid of original pixels. */
export function polygonIou(a, b) {
  const all = [...a, ...b];
  const [x0, x1] = [Math.min(...all.map(([x]) => x)), Math.max(...all.map(([x]) => x))];
  const [y0, y1] = [Math.min(...all.map(([, y]) => y)), Math.max(...all.map(([, y]) => y))];
  let [both, either] = [0, 0];
  for (let y = y0; y <= y1; y++) {
    for (let x = x0; x <= x1; x++) {
      const [inA, inB] = [isInside(a, x, y), isInside(b, x, y)];
      both += inA && inB;
      either += inA || inB;
    }
  }
  return either ? both / either : 0;
}

function isInside(polygon, x, y) {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [[xi, yi], [xj, yj]] = [polygon[i], polygon[j]];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}
