// mammoscope's results in a real OHIF, beside an Orthanc. Takes two minutes, and a build of OHIF:
//   npm pack @ohif/app@3.13.2 && tar xzf ohif-app-3.13.2.tgz && OHIF=$PWD/package/dist npm --prefix web run ohif-test
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createReadStream, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launch, polygonIou, python } from "./harness.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const built = process.env.OHIF;
const orthancProgram = ["/usr/sbin/Orthanc", "/usr/bin/Orthanc"].find((program) => existsSync(program));
const plugin = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so";
const missing = !built ? "OHIF names no build of OHIF" : !orthancProgram || !existsSync(plugin) ? "needs Orthanc and its DICOMweb plugin" : false;
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm", ".svg": "image/svg+xml" };
const CONFIGURATION = {
  routerBasename: null,
  extensions: [],
  modes: [],
  showStudyList: true,
  maxNumberOfWebWorkers: 1,
  investigationalUseDialog: { option: "never" },
  defaultDataSourceName: "orthanc",
  dataSources: [
    {
      namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
      sourceName: "orthanc",
      configuration: {
        friendlyName: "Orthanc",
        name: "orthanc",
        qidoRoot: "/dicom-web",
        wadoRoot: "/dicom-web",
        wadoUriRoot: "/dicom-web",
        imageRendering: "wadors",
        thumbnailRendering: "wadors",
        enableStudyLazyLoad: true,
        omitQuotationForMultipartRequest: true,
      },
    },
  ],
};
const slow = { timeout: 400_000 };

let folder, orthanc, orthancPort, server, browser, page, studies;
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const freePort = () =>
  new Promise((resolve) => {
    const probe = http.createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });

/** OHIF's files, and Orthanc's DICOMweb under the same origin. */
function serve(request, response) {
  const { pathname } = new URL(request.url, "http://localhost");
  if (pathname.startsWith("/dicom-web")) {
    const { method, headers, url } = request;
    const passed = http.request({ host: "127.0.0.1", port: orthancPort, path: url, method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    passed.on("error", () => response.destroy());
    return void request.pipe(passed);
  }
  if (pathname === "/app-config.js") return void response.end(`window.config = ${JSON.stringify(CONFIGURATION)};`);
  const named = path.join(built, path.normalize(pathname));
  const file = existsSync(named) && statSync(named).isFile() ? named : path.join(built, "index.html");
  response.writeHead(200, { "content-type": TYPES[path.extname(file)] ?? "application/octet-stream" });
  createReadStream(file).pipe(response);
}

async function startOrthanc() {
  orthancPort = await freePort();
  const storage = path.join(folder, "storage");
  const settings = { StorageDirectory: storage, IndexDirectory: storage, HttpPort: orthancPort, DicomServerEnabled: false };
  const more = { Plugins: [plugin], AuthenticationEnabled: false, DicomWeb: { Enable: true, Root: "/dicom-web/" } };
  writeFileSync(path.join(folder, "orthanc.json"), JSON.stringify({ ...settings, ...more }));
  orthanc = spawn(orthancProgram, [path.join(folder, "orthanc.json")], { stdio: "ignore" });
  const address = `http://127.0.0.1:${orthancPort}`;
  while (!(await fetch(`${address}/system`).catch(() => null))?.ok) await pause(200);
  for (const kind of ["images", "results", "other", "none"]) {
    for (const file of readdirSync(path.join(folder, kind)).filter((name) => name.endsWith(".dcm"))) {
      const stored = await fetch(`${address}/instances`, { method: "POST", body: readFileSync(path.join(folder, kind, file)) });
      assert.equal(stored.status, 200, file);
    }
  }
  const all = await (await fetch(`${address}/studies?expand`)).json();
  const uid = (few) => all.find((study) => study.Series.length < 8 === few).MainDicomTags.StudyInstanceUID;
  return { found: uid(false), none: uid(true) };
}

async function openStudy(study) {
  await page?.context().close();
  page = await (await browser.newContext({ viewport: { width: 1400, height: 900 } })).newPage();
  page.setDefaultTimeout(180_000);
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(error.message));
  await page.goto(`http://127.0.0.1:${server.address().port}/viewer?StudyInstanceUIDs=${study}`, { waitUntil: "commit" });
  await page.getByText("Skip all").first().click();
  await page.waitForFunction(() => globalThis.cornerstone?.getEnabledElements()[0]?.viewport.getCurrentImageId?.());
}

const open = (series) => page.getByText(series, { exact: true }).first().dblclick();
const outlines = (view) => JSON.parse(readFileSync(path.join(folder, "results", `phantom-${view}.json`), "utf8")).findings.map((one) => one.outline);

before(async () => {
  if (missing) return;
  folder = mkdtempSync(path.join(tmpdir(), "mammoscope-ohif-"));
  execFileSync(python, [path.join(here, "make_results.py"), folder], { stdio: ["ignore", "ignore", "inherit"] });
  studies = await startOrthanc();
  server = http.createServer(serve);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  browser = await launch();
}, slow);

after(async () => {
  await browser?.close();
  server?.close();
  server?.closeAllConnections();
  orthanc?.kill();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

describe("OHIF", { skip: missing, ...slow }, () => {
  test("draws the outlines of the report where the analysis has them", slow, async () => {
    await openStudy(studies.found);
    await open("mammoscope SR, L CC");
    await page.waitForFunction(() => {
      const { annotation, utilities } = globalThis.cornerstoneTools;
      utilities.triggerAnnotationRenderForViewportIds(["default"]); // as any zoom does
      const drawn = document.querySelectorAll("svg.svg-layer polyline, svg.svg-layer path").length;
      return drawn >= annotation.state.getAllAnnotations().filter((one) => one.metadata.toolName === "DICOMSRDisplay").length && drawn > 0;
    }, null, { polling: 1000 });
    const shown = await page.evaluate(() => {
      const { cornerstone, cornerstoneTools } = globalThis;
      const regions = cornerstoneTools.annotation.state.getAllAnnotations().filter((one) => one.metadata.toolName === "DICOMSRDisplay");
      return regions.map((one) => one.data.handles.points.map((point) => cornerstone.utilities.worldToImageCoords(one.metadata.referencedImageId, point)));
    });
    const expected = outlines("L-CC");
    assert.equal(shown.length, expected.length);
    for (const outline of expected) assert.ok(Math.max(...shown.map((one) => polygonIou(one, outline))) > 0.98);
    assert.deepEqual(page.errors, []);
  });

  test("paints the segmentation on the masses", slow, async () => {
    await openStudy(studies.found);
    await open("mammoscope SEG, L CC");
    await page.getByRole("button", { name: "Yes", exact: true }).click();
    const painted = async () => {
      const picture = (await page.screenshot()).toString("base64");
      return page.evaluate(async (picture) => {
        const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${picture}`)).blob());
        const sheet = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
        sheet.drawImage(bitmap, 0, 0);
        const { data } = sheet.getImageData(0, 0, bitmap.width, bitmap.height);
        const viewports = globalThis.cornerstone.getEnabledElements().map((one) => one.viewport);
        const viewport = viewports.find((one) => one.canvas.getBoundingClientRect().width > 0);
        const frame = viewport.canvas.getBoundingClientRect();
        const image = viewport.getCurrentImageId();
        const found = [];
        for (let y = Math.ceil(frame.top) + 40; y < frame.bottom - 40; y += 2) {
          for (let x = Math.ceil(frame.left) + 40; x < frame.right - 40; x += 2) {
            const [red, green, blue] = data.subarray(4 * (y * bitmap.width + x));
            if (Math.max(red, green) - blue < 60 || Math.abs(red - green) < 40) continue; // the image itself is grey
            found.push(globalThis.cornerstone.utilities.worldToImageCoords(image, viewport.canvasToWorld([x - frame.left, y - frame.top])));
          }
        }
        return found;
      }, picture);
    };
    let places = [];
    for (let tries = 0; tries < 40 && places.length < 50; tries++) {
      await pause(2000);
      places = await painted();
    }
    const expected = outlines("L-CC");
    const near = ([x, y], outline) => {
      const [xs, ys] = [outline.map((point) => point[0]), outline.map((point) => point[1])];
      return x > Math.min(...xs) - 4 && x < Math.max(...xs) + 4 && y > Math.min(...ys) - 4 && y < Math.max(...ys) + 4;
    };
    assert.ok(places.length >= 50, `${places.length} coloured places`);
    assert.ok(places.every((place) => expected.some((outline) => near(place, outline))));
    for (const outline of expected) assert.ok(places.some((place) => near(place, outline)));
    assert.deepEqual(page.errors, []);
  });

  test("opens a report without a finding", slow, async () => {
    await openStudy(studies.none);
    await open("mammoscope SR, R CC");
    await pause(8000);
    assert.ok(await page.getByText("mammoscope SR, R CC", { exact: true }).first().isVisible());
    assert.deepEqual(page.errors, []);
  });
});
