// The reading page in a real browser, as a reader uses it.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import {
  analysed,
  axeSource,
  drawn,
  drop,
  dropFromDesktop,
  frameTimes,
  greys,
  launch,
  makeFiles,
  openPage,
  polygonIou,
  PORTRAIT_SCREEN,
  settled,
  startServer,
} from "./harness.mjs";

const MARK = { x0: 760, y0: 560, x1: 840, y1: 620 }; // as make_files.py paints it
const EXAM = ["R-CC", "L-CC", "R-MLO", "L-MLO"].map((view) => `phantom-${view}.dcm`);
const inTests = { timeout: 120_000 };

let files, server, browser, page, exam;
const at = (name) => path.join(files.folder, name);
const reading = (ask, argument) => page.evaluate(ask, argument);
const noTroubles = () => assert.deepEqual(page.troubles, []);

before(async () => {
  files = makeFiles();
  server = await startServer("--port", "0", "--bundle", at("bundle"));
  browser = await launch();
  page = await openPage(browser, server.address);
}, inTests);

after(async () => {
  await browser?.close();
  await server?.stop();
  files?.remove();
});

describe("an exam of four views", () => {
  test("shows its progress from the drop to the result, and each view as soon as it can be seen", inTests, async () => {
    assert.equal(await page.locator(".notice").innerText(), "Research use only. Not for diagnostic use.");
    await reading(() => {
      globalThis.seen = { states: new Set(), uploaded: 0, first: 0, words: "" };
      const watch = () => {
        document.querySelectorAll(".files .state").forEach((state) => globalThis.seen.states.add(state.textContent.split(" ").at(-1)));
        if (!globalThis.seen.uploaded && globalThis.mammoscope.reading.status) globalThis.seen.uploaded = performance.now();
        if (!globalThis.seen.first && document.querySelector(".pane[data-frames]")) globalThis.seen.first = performance.now();
        const { status, analyses } = globalThis.mammoscope.reading;
        if (status?.files.length > 1 && !analyses) globalThis.seen.words = document.querySelector(".outcome").textContent;
      };
      new MutationObserver(watch).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
    });
    await drop(page, EXAM.map((name) => at(`exam/${name}`)));
    exam = await analysed(page);
    await drawn(page, 4);
    const seen = await reading(() => ({ ...globalThis.seen, states: [...globalThis.seen.states] }));
    for (const state of ["analysing", "done"]) assert.ok(seen.states.includes(state), `${state} in ${seen.states}`);
    const wait = Math.round(seen.first - seen.uploaded);
    console.log(`first view ${wait} ms after the upload`);
    // The target is 1.5 s; a machine that others use too gets some more.
    assert.ok(wait < 4000, `first view after ${wait} ms`);
    // These models look at all views together, which the page says.
    assert.equal(seen.words, "The analysis is under way. These models look at all views together: findings show when all are done.");
    noTroubles();
  });

  test("hangs R CC | L CC over R MLO | L MLO, chest walls together", inTests, async () => {
    const hung = await reading(() =>
      globalThis.mammoscope.lightbox.panes.map((pane) => {
        const { x, y, width } = pane.root.getBoundingClientRect();
        const { columns, laterality, view, preprocessed } = pane.view;
        const isRight = (pane.state.wall ?? "left") === "right";
        const wall = pane.map.a * (isRight ? columns : 0) + pane.map.c;
        return { name: `${laterality} ${view}`, x, y, wallGap: laterality === "RIGHT" ? width - wall : wall, known: preprocessed !== null };
      }),
    );
    const [rcc, lcc, rmlo, lmlo] = ["RIGHT CC", "LEFT CC", "RIGHT MLO", "LEFT MLO"].map((name) => hung.find((each) => each.name === name));
    assert.ok(rcc.x < lcc.x && rcc.y === lcc.y && rmlo.y > rcc.y && lmlo.x === lcc.x && lmlo.y === rmlo.y);
    for (const { name, wallGap } of hung) assert.ok(Math.abs(wallGap) < 0.01, `${name}: ${wallGap} px from the middle`);
  });

  test("fills a wide screen with the CC pair beside the MLO pair, at one scale; one key goes through the reading sequence", inTests, async () => {
    const own = await openPage(browser, server.address, { width: 1920, height: 1080 });
    await own.evaluate((id) => void (location.hash = `exam=${id}`), exam);
    await analysed(own);
    await drawn(own, 4);
    const hung = () =>
      own.evaluate(() =>
        globalThis.mammoscope.lightbox.panes.map((pane) => {
          const { x, y, width, height } = pane.root.getBoundingClientRect();
          const { preprocessed, spacing, laterality, view } = globalThis.mammoscope.reading.file(pane.file).view;
          const { from_original: change, columns, rows, tip_row } = preprocessed;
          const onScreen = (across, down) => [x + pane.map.a * ((across - change.shift_x) / change.scale_x) + pane.map.c, y + pane.map.d * ((down - change.shift_y) / change.scale_y) + pane.map.f];
          const [wall, tip] = [onScreen(0, 0), onScreen(columns, rows)];
          return { name: `${laterality} ${view}`, x, y, width, height, wall: wall[0], far: tip[0], top: wall[1], bottom: tip[1], nipple: y + pane.map.d * tip_row + pane.map.f, perMm: pane.state.camera.zoom / spacing.column_mm };
        }),
      );
    const row = await hung();
    assert.deepEqual(row.map(({ name }) => name), ["RIGHT CC", "LEFT CC", "RIGHT MLO", "LEFT MLO"]);
    assert.ok(row.every(({ y, height }) => y === row[0].y && height > 850), JSON.stringify(row));
    for (const { perMm, x, width, top, bottom, far } of row) {
      assert.ok(Math.abs(perMm - row[0].perMm) < 1e-9, "one scale in mm");
      assert.ok(top > row[0].y - 1 && bottom < row[0].y + row[0].height + 1 && far > x - 1 && far < x + width + 1, JSON.stringify(row));
    }
    for (const [right, left] of [[row[0], row[1]], [row[2], row[3]]]) {
      assert.ok(Math.abs(right.wall - left.wall) < 0.5, `chest walls touch: ${right.wall}, ${left.wall}`);
      assert.ok(Math.abs(right.nipple - left.nipple) < 1, `nipples are level: ${right.nipple}, ${left.nipple}`);
    }
    // The widest breast fills its pane.
    assert.ok(Math.max(...row.map(({ far, wall, width }) => Math.abs(far - wall) / width), ...row.map(({ top, bottom, height }) => (bottom - top) / height)) > 0.99);
    const step = own.getByRole("group", { name: "Reading sequence" }).getByRole("status");
    const seen = [];
    for (const [key, count] of [["s", 2], ["s", 2], ["s", 1], ["s", 1], ["Shift+S", 1], ["Shift+S", 2], ["Space", 1], ["Shift+Space", 2], ["Shift+S", 2], ["Shift+S", 4], ["Shift+S", 1], ["s", 4]]) {
      await own.keyboard.press(key);
      await drawn(own, count);
      seen.push(await step.innerText());
    }
    assert.deepEqual(seen, ["CC pair", "MLO pair", "R CC", "L CC", "R CC", "MLO pair", "R CC", "MLO pair", "CC pair", "all views", "L MLO", "all views"]);
    assert.deepEqual(own.troubles, []);
    await own.context().close();
  });

  test("panels fold away, and what they leave is filled", inTests, async () => {
    const width = () => page.locator(".lightbox").evaluate((box) => box.clientWidth);
    const before = await width();
    await page.keyboard.press("q");
    await page.keyboard.press("e");
    assert.ok(!(await page.locator(".side").isVisible()) && !(await page.locator(".exam-list").isVisible()));
    assert.equal(await page.getByRole("button", { name: "Findings", exact: true }).getAttribute("aria-expanded"), "false");
    assert.equal(await width(), 1366);
    await settled(page);
    assert.equal(await page.locator(".lightbox").getAttribute("data-columns"), "4");
    await page.reload();
    await analysed(page);
    assert.ok(!(await page.locator(".side").isVisible()), "the browser remembers it");
    await page.getByRole("button", { name: "Findings", exact: true }).click();
    await page.getByRole("button", { name: "Exams", exact: true }).click();
    await drawn(page, 4);
    assert.equal(await width(), before);
    assert.equal(await page.locator(".lightbox").getAttribute("data-columns"), "2");
  });

  test("a phone shows the image first", inTests, async () => {
    const own = await openPage(browser, server.address, { width: 390, height: 844 });
    await own.evaluate((id) => void (location.hash = `exam=${id}`), exam);
    await analysed(own);
    await drawn(own, 4);
    const { top, bottom, wide } = await own.evaluate(() => {
      const { top, bottom } = document.querySelector(".lightbox").getBoundingClientRect();
      return { top, bottom, wide: document.documentElement.scrollWidth };
    });
    assert.ok(top < 120 && bottom <= 844 && bottom - top > 600 && wide <= 390, JSON.stringify({ top, bottom, wide }));
    assert.ok(!(await own.locator(".exam-list").isVisible()));
    await own.locator(".findings .show:visible").first().scrollIntoViewIfNeeded();
    assert.deepEqual(await serious(own), []);
    await own.locator(".findings .show:visible").first().click();
    const pane = await own.locator(".pane.active").boundingBox();
    const header = await own.locator("header").boundingBox();
    assert.ok(pane.y >= header.y + header.height - 1 && pane.y + pane.height <= 845, `a finding that is chosen comes into sight: ${JSON.stringify(pane)}`);
    assert.deepEqual(own.troubles, []);
    await own.context().close();
  });

  test("outlines the mass where it is, after zoom and pan", inTests, async () => {
    const truth = JSON.parse(readFileSync(at("exam/truth.json"), "utf8")).files["phantom-L-CC.dcm"].lesions[0].outline;
    const pane = page.locator('.pane[aria-label^="L CC"]');
    const bounds = await pane.boundingBox();
    await page.mouse.move(bounds.x + 80, bounds.y + 130);
    for (let turn = 0; turn < 5; turn++) await page.mouse.wheel(0, -120);
    await page.keyboard.down("Shift");
    await page.mouse.down();
    await page.mouse.move(bounds.x + 120, bounds.y + 150, { steps: 4 });
    await page.mouse.up();
    await page.keyboard.up("Shift");
    await settled(page);
    // The outline as it stands on the screen, brought to the original by Cornerstone itself.
    const { outline, gap, zoom } = await reading(() => {
      const pane = globalThis.mammoscope.lightbox.panes.find(({ view }) => view.laterality === "LEFT" && view.view === "CC");
      const polygon = pane.root.querySelector('[data-finding="0"] polygon.outline:not(.rim)');
      const toScreen = polygon.getScreenCTM();
      const { x, y } = pane.root.getBoundingClientRect();
      const [a, b] = [pane.cornerstone.canvasPoint(0, 0), pane.cornerstone.canvasPoint(1000, 1000)];
      const points = [...polygon.points].map((point) => {
        const onScreen = point.matrixTransform(toScreen);
        return [((onScreen.x - x - a[0]) / (b[0] - a[0])) * 1000, ((onScreen.y - y - a[1]) / (b[1] - a[1])) * 1000];
      });
      const said = globalThis.mammoscope.reading.analysis(pane.file).findings[0].outline;
      const gap = Math.max(...points.map(([px, py], at) => Math.hypot(px - said[at][0], py - said[at][1])));
      return { outline: points, gap, zoom: pane.state.camera.zoom };
    });
    assert.ok(zoom > 0.2, `zoomed to ${zoom}`);
    assert.ok(gap < 0.5, `${gap} pixels between the outline and where it is drawn`);
    const iou = polygonIou(outline, truth);
    console.log(`IoU of the drawn outline with the phantom's mass: ${iou.toFixed(3)}`);
    assert.ok(iou > 0.5, `IoU ${iou}`);
  });

  test("findings come and go with the threshold, at once", inTests, async () => {
    const count = () => page.locator(".findings .ref:visible").count();
    const shapes = () => page.locator('.overlay g[data-finding][display="inline"]').count();
    const slide = (value) =>
      page.locator("#threshold").evaluate((slider, value) => {
        slider.value = String(value);
        slider.dispatchEvent(new Event("input", { bubbles: true }));
      }, value);
    const [before] = [await count()];
    assert.ok(before > 0);
    assert.equal(await shapes(), before);
    await slide(0.2);
    assert.ok((await count()) > before);
    assert.equal(await shapes(), await count());
    await slide(0.99);
    assert.equal(await count(), 0);
    assert.equal(await shapes(), 0);
    assert.equal(await page.locator(".outcome").innerText(), "No finding at or above the threshold of 0.99.");
    const slowest = await reading(async () => {
      const times = [];
      for (let step = 0; step < 20; step++) {
        const start = performance.now();
        globalThis.mammoscope.reading.setThreshold(0.2 + step * 0.02);
        document.body.getBoundingClientRect();
        times.push(performance.now() - start);
      }
      return times.sort((a, b) => a - b)[10];
    });
    assert.ok(slowest < 50, `the slider takes ${slowest} ms`);
    await page.getByRole("button", { name: "Back to it" }).click();
    assert.equal(await count(), before);
  });

  test("says beside the slider what the threshold found on validation, and what is not stated", inTests, async () => {
    const said = page.locator(".on-validation");
    assert.match(await said.innerText(), /^On validation it found 61% \(55 to 68%\) of the lesions, with 0\.41 \(0\.33 to 0\.49\) false positives an image\.$/);
    await page.keyboard.press("]");
    assert.match(await said.innerText(), /^Not measured here\. On validation it found at most 61%/);
    await page.getByRole("button", { name: "Back to it" }).click();
    assert.match(await said.innerText(), /^On validation it found 61%/);
    await page.getByText("What the numbers mean, and which models said so").click();
    await page.getByText("262 lesions in 248 images of 139 patients of cbis-ddsm-mass/train").waitFor();
    await page.getByText("What the numbers mean, and which models said so").click();
  });

  test("lists the findings most suspicious first, or as the reader sorts them", inTests, async () => {
    const rows = () =>
      reading(() => {
        const { reading } = globalThis.mammoscope;
        return [...document.querySelectorAll(".findings tbody:not(.part) .show")].map(({ dataset }) => {
          const refs = dataset.focus.replace("show ", "").split("+").map((ref) => ref.split("/").map(Number));
          const found = refs.map(([file, finding]) => reading.finding({ file, finding }));
          const highest = (of) => Math.max(...found.map(of));
          return { malignancy: highest((one) => one.malignancy_score), suspicion: highest((one) => one.detection_score * one.malignancy_score) };
        });
      });
    const isSorted = (values) => values.every((value, place) => place === 0 || value <= values[place - 1]);
    assert.ok(isSorted((await rows()).map(({ suspicion }) => suspicion)));
    await page.getByRole("button", { name: "Malignancy", exact: true }).click();
    assert.ok(isSorted((await rows()).map(({ malignancy }) => malignancy)));
    assert.equal(await page.locator('.findings th[aria-sort="descending"]').innerText(), "Malignancy");
    await page.keyboard.press("Enter"); // the head keeps the focus
    assert.ok(isSorted((await rows()).map(({ suspicion }) => suspicion)));
    assert.equal(await page.locator(".findings th[aria-sort]").count(), 0);
    const lines = page.locator(".findings tbody:visible");
    const first = lines.first();
    assert.match(await first.innerText(), /L CC\s+1 L MLO\s+\d+\.\d mm\s+0\.\d\d\s+[<>]?\d+%\s+above 50%\s+✓\s*✗\s+upper outer, about \d+ o'clock, (posterior|middle|anterior) third/);
    // The words are a click away, once.
    assert.equal(await page.locator(".findings .words").count(), 0);
    await first.locator(".show").click();
    assert.match(await page.locator(".findings .words").innerText(), /Malignancy [<>]?\d+%, above the operating point of 50%\./);
    await page.keyboard.press("n"); // its other view
    assert.ok(await lines.first().evaluate((row) => row.classList.contains("selected")));
    await page.keyboard.press("n");
    assert.equal(await page.locator(".findings .words").count(), 1);
    assert.ok(await lines.nth(1).evaluate((row) => row.classList.contains("selected")), "N goes down the table");
    await page.getByRole("button", { name: "Reset" }).click();
  });

  test("a click on a finding centres its view", inTests, async () => {
    await page.locator(".findings .show:visible").first().click();
    await settled(page);
    const off = await reading(() => {
      const { reading, lightbox } = globalThis.mammoscope;
      const { file, finding } = reading.selected;
      const pane = lightbox.pane(file);
      const { box } = reading.analysis(file).findings[finding];
      return Math.hypot(pane.map.a * ((box.x0 + box.x1) / 2) + pane.map.c - pane.size.width / 2, pane.map.d * ((box.y0 + box.y1) / 2) + pane.map.f - pane.size.height / 2);
    });
    assert.ok(off < 1, `${off} px off the middle`);
    await page.getByRole("button", { name: "Reset" }).click();
  });

  test("window, presets and inversion change the pixels, each within a frame", inTests, async () => {
    await settled(page);
    const brightness = () =>
      reading(() => {
        const canvas = document.querySelector('.pane[aria-label^="L CC"] canvas');
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let sum = 0;
        for (let at = 0; at < data.length; at += 4) sum += data[at];
        return sum / (data.length / 4);
      });
    const first = await brightness();
    const bounds = await page.locator('.pane[aria-label^="L CC"]').boundingBox();
    await page.mouse.move(bounds.x + 300, bounds.y + 100);
    await page.mouse.down();
    await page.mouse.move(bounds.x + 280, bounds.y + 40, { steps: 5 });
    await page.mouse.up();
    await settled(page);
    const dragged = await brightness();
    assert.ok(dragged > first + 2, `${first} to ${dragged}`);
    await page.getByLabel("Window preset").selectOption("tissue");
    await settled(page);
    const preset = await brightness();
    assert.ok(Math.abs(preset - dragged) > 1);
    await page.getByRole("button", { name: "Invert" }).click();
    await settled(page);
    assert.ok((await brightness()) > preset + 20);
    await page.getByRole("button", { name: "Invert" }).click();
    await page.getByRole("button", { name: "Reset" }).click();
    await settled(page);
    assert.ok(Math.abs((await brightness()) - first) < 0.5);
    const presets = await page.getByLabel("Window preset").locator("option").allInnerTexts();
    assert.deepEqual(presets, ["Preset", "As opened", "Whole breast", "Dense tissue", "Skin line"]);
    const times = await frameTimes(page);
    console.log(`four views: a window change takes ${times.window} ms, of all ${times.linked} ms, a step of the threshold ${times.threshold} ms`);
    // The target is 50 ms; here software draws, on cores that others use too.
    assert.ok(times.window < 400 && times.linked < 400 && times.threshold < 400, JSON.stringify(times));
  });

  test("a pan draws its own view alone; breasts fill their panes at one scale", inTests, async () => {
    const frames = () => reading(() => globalThis.mammoscope.lightbox.panes.map((pane) => Number(pane.root.dataset.frames)));
    await settled(page);
    const before = await frames();
    await reading(() => globalThis.mammoscope.lightbox.panes[1].pan(5, 5));
    await settled(page);
    assert.deepEqual(await frames(), before.map((count, place) => count + (place === 1 ? 1 : 0)));
    await page.getByRole("button", { name: "Breast", exact: true }).click();
    await settled(page);
    const views = await reading(() =>
      globalThis.mammoscope.lightbox.panes.map((pane) => {
        const { rows, columns, from_original: change } = globalThis.mammoscope.reading.file(pane.file).view.preprocessed;
        const onScreen = (x, y) => [pane.map.a * ((x - change.shift_x) / change.scale_x) + pane.map.c, pane.map.d * ((y - change.shift_y) / change.scale_y) + pane.map.f];
        return { zoom: pane.state.camera.zoom, size: [pane.size.width, pane.size.height], corners: [onScreen(0, 0), onScreen(columns, rows)], side: pane.view.laterality };
      }),
    );
    for (const { zoom, size, corners, side } of views) {
      assert.equal(zoom, views[0].zoom);
      const walls = corners.map(([x]) => (side === "RIGHT" ? size[0] - x : x)).sort((a, b) => a - b);
      assert.ok(Math.abs(walls[0]) < 0.01, `${side}: ${walls[0]} px from the middle`);
      for (const [x, y] of corners) assert.ok(x > -1 && y > -1 && x < size[0] + 1 && y < size[1] + 1, `${side}: ${x}, ${y} in ${size}`);
    }
    await page.getByRole("button", { name: "Reset" }).click();
  });

  test("shows one view large, and what the models see beside it", inTests, async () => {
    await page.locator('.pane[aria-label^="R MLO"]').dblclick({ position: { x: 200, y: 200 } });
    await drawn(page, 1);
    await page.getByRole("button", { name: "Side by side" }).click();
    await drawn(page, 2);
    assert.deepEqual(
      await reading(() => globalThis.mammoscope.lightbox.panes.map(({ source, image }) => [source, image.samples.constructor.name])),
      [["original", "Uint16Array"], ["preprocessed", "Uint8Array"]],
    );
    await page.keyboard.press("Escape");
    await drawn(page, 4);
    noTroubles();
  });
});

describe("the reader's record", () => {
  test("is exported as JSON, overlay and report, and asked for before it is lost", inTests, async () => {
    await page.getByRole("button", { name: /^Accept finding 1 of L CC/ }).click();
    await page.getByRole("button", { name: /^Reject finding 1 of R CC/ }).click();
    await page.locator(".findings tbody.rejected:visible .show").first().click();
    await page.getByLabel("Rejected because").fill("lymph node");
    await page.getByText("BI-RADS and density").click();
    await page.getByLabel("BI-RADS category: Left").selectOption("4A");
    await page.getByLabel("Density: Exam").selectOption("C");
    await page.getByText("BI-RADS and density: exam density C; left BI-RADS 4A").click();
    await page.getByLabel("Impression").fill("One mass <b>left</b>.");
    await page.getByRole("button", { name: "Freehand" }).click();
    const bounds = await page.locator('.pane[aria-label^="R CC"]').boundingBox();
    const [x, y] = [bounds.x + 340, bounds.y + 150];
    await page.mouse.move(x, y);
    await page.mouse.down();
    for (const [dx, dy] of [[20, 0], [20, 20], [0, 20], [0, 4]]) await page.mouse.move(x + dx, y + dy, { steps: 3 });
    await page.mouse.up();
    assert.equal(await page.locator(".finding.drawn").count(), 1);
    await page.getByRole("button", { name: "Polygon" }).click();
    for (const [dx, dy] of [[0, 60], [30, 60], [15, 90]]) await page.mouse.click(x + dx, y + dy);
    await page.keyboard.press("Enter");
    assert.equal(await page.locator(".finding.drawn").count(), 2);
    await page.keyboard.press("Escape");
    const asked = await reading(() => {
      globalThis.mammoscope.reading.write("One mass <b>left</b>."); // or the last change may be saved already
      if (document.querySelector(".keeping").textContent.startsWith("Saved")) return "called saved";
      const event = new Event("beforeunload", { cancelable: true });
      dispatchEvent(event);
      return event.defaultPrevented;
    });
    assert.equal(asked, true, "leaving with unsaved verdicts is not asked about");
    await page.getByText(/^Saved on the server .*\.$/).waitFor();

    const saved = async (name) => {
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name, exact: true }).click()]);
      return { name: download.suggestedFilename(), content: readFileSync(await download.path()) };
    };
    const results = await saved("DICOM");
    assert.equal(results.name, "mammoscope-dicom.zip");
    for (const kind of ["sr", "seg", "gsps"]) assert.ok(results.content.includes(`.${kind}.dcm`), kind);
    const report = await saved("PDF report");
    assert.equal(report.content.subarray(0, 5).toString(), "%PDF-");
    assert.match(report.content.subarray(-32).toString("latin1"), /%%EOF/);
    const overlay = await saved("Overlay PNG");
    assert.equal(overlay.content.subarray(1, 4).toString(), "PNG");
    const names = new Set();
    const take = (download) => names.add(download.suggestedFilename());
    page.on("download", take);
    await page.getByRole("button", { name: "All overlays" }).click();
    await page.getByText("4 overlays: saved.").waitFor({ timeout: 60_000 });
    for (let turn = 0; names.size < 4 && turn < 50; turn++) await page.waitForTimeout(100);
    page.off("download", take);
    assert.deepEqual([...names].map((one) => one.replace(/-\d-/, "-")).sort(), ["L-CC", "L-MLO", "R-CC", "R-MLO"].map((view) => `mammoscope-${view}.overlay.png`));
    const { content, name } = await saved("JSON");
    assert.equal(name, "mammoscope-reading.json");
    const said = JSON.parse(content.toString());
    assert.equal(said.notice, "Research use only. Not for diagnostic use.");
    assert.equal(said.record.impression, "One mass <b>left</b>.");
    assert.deepEqual(said.record.verdicts.map(({ verdict }) => verdict).sort(), ["accepted", "accepted", "rejected", "rejected"]); // each lesion in two views
    assert.ok(said.record.verdicts.every(({ verdict, reason }) => reason === (verdict === "rejected" ? "lymph node" : "")));
    assert.deepEqual(said.record.assessments, [{ of: "exam", birads: null, density: "C" }, { of: "left", birads: "4A", density: null }]);
    assert.equal(said.record.drawn.length, 2);
    const [[px, py]] = said.record.drawn[0].outline;
    assert.ok(px > 0 && py > 0);
    assert.equal(said.analyses.length, 4);
    assert.equal(said.analyses[0].schema_version, "1.3");
    writeFileSync(at("saved.json"), content);
    noTroubles();
  });

  test("comes back from the JSON", inTests, async () => {
    await page.reload();
    assert.equal(await analysed(page), exam);
    await drawn(page, 4);
    const record = () => reading(() => globalThis.mammoscope.reading.record);
    // The server has it all; a reader may begin anew, and open what was saved.
    assert.equal((await record()).verdicts.length, 4);
    assert.equal((await record()).drawn.length, 2);
    await reading(() => globalThis.mammoscope.reading.restore({ threshold: 0.4, impression: "", verdicts: [], drawn: [], lengths: [] }));
    await drop(page, [at("saved.json")]);
    await page.getByText("Opened: 4 verdicts, 2 drawn findings, 2 assessments, the impression.").waitFor();
    assert.deepEqual(await record(), JSON.parse(readFileSync(at("saved.json"), "utf8")).record);
    assert.equal(await page.locator(".finding.drawn").count(), 2);
    assert.equal(await page.locator('.verdicts [aria-pressed="true"]:visible').count(), 2);
    assert.equal(await page.getByLabel("Impression").inputValue(), "One mass <b>left</b>.");
    await page.getByText(/^Saved on the server/).waitFor();
  });

  test("is told of a second tab that saved another reading, and neither is lost unasked", inTests, async () => {
    const second = await page.context().newPage();
    await second.goto(`${server.address}/#exam=${exam}`);
    await analysed(second);
    assert.equal(await second.getByLabel("Impression").inputValue(), "One mass <b>left</b>.");
    await second.getByLabel("Reader", { exact: true }).fill("Dr. B");
    await second.getByLabel("Impression").fill("by the second tab");
    await second.getByText(/^Saved on the server .* by Dr. B\.$/).waitFor();
    await page.getByLabel("Impression").fill("by the first tab");
    await page.getByText(/^Not saved: another reading of this exam was saved meanwhile/).waitFor();
    await page.getByRole("button", { name: "Show theirs" }).click();
    await page.waitForFunction(() => document.querySelector("#impression").value === "by the second tab");
    await page.getByLabel("Impression").fill("One mass <b>left</b>.");
    await page.getByText(/^Saved on the server/).waitFor();
    await second.close();
    assert.deepEqual(page.troubles.splice(0).filter((trouble) => !trouble.includes("409 (Conflict)")), []);
  });

  test("outlasts an upload that fails", inTests, async () => {
    const before = await reading(() => globalThis.mammoscope.reading.record);
    await page.route("**/api/v1/analyses", (route) => (route.request().method() === "POST" ? route.abort() : route.continue()));
    await drop(page, [at("small.dcm")]);
    await page.getByText("The upload was cut off").waitFor();
    await page.unroute("**/api/v1/analyses");
    await page.getByRole("button", { name: "Dismiss" }).click();
    assert.deepEqual(await reading(() => globalThis.mammoscope.reading.record), before);
    assert.equal(before.verdicts.length, 4);
    page.troubles.splice(0);
  });

  test("measures in millimetres", inTests, async () => {
    await page.getByRole("button", { name: "Measure" }).click();
    const bounds = await page.locator('.pane[aria-label^="L CC"]').boundingBox();
    await page.mouse.move(bounds.x + 40, bounds.y + 100);
    await page.mouse.down();
    await page.mouse.move(bounds.x + 140, bounds.y + 100, { steps: 3 });
    await page.mouse.up();
    const zoom = await reading(() => globalThis.mammoscope.lightbox.pane(globalThis.mammoscope.reading.activeFile).state.camera.zoom);
    const expected = ((100 / zoom) * 0.07).toFixed(1);
    assert.equal(await page.locator(".overlay .note", { hasText: "mm" }).textContent(), `${expected} mm`);
    await page.keyboard.press("Backspace");
    assert.equal(await page.locator(".overlay .note", { hasText: "mm" }).count(), 0);
    await page.keyboard.press("w");
  });
});

async function serious(on = page) {
  if (!(await on.evaluate(() => "axe" in globalThis))) await on.evaluate(axeSource);
  const { violations } = await on.evaluate(() => globalThis.axe.run());
  return violations
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`);
}

test("has nothing that axe finds wrong", inTests, async () => {
  assert.deepEqual(await serious(), []);
  await page.keyboard.press("?");
  assert.deepEqual(await serious(), []);
  await page.keyboard.press("Escape");
});

test("no key or button leaves a pane without tissue", inTests, async () => {
  await page.mouse.move(10, 10); // off the views
  const inSight = () =>
    reading(() => {
      const { pane } = globalThis.mammoscope.lightbox.active;
      const { x, y, zoom } = pane.state.camera;
      const [across, down] = [pane.size.width / zoom / 2, pane.size.height / zoom / 2];
      const seen = pane.state.tissue.cells.filter((cell) => cell.x1 > x - across && cell.x0 < x + across && cell.y1 > y - down && cell.y0 < y + down);
      return { zoom, tissue: seen.length };
    });
  await reading(() => globalThis.mammoscope.reading.select(null));
  for (const view of ["1", "2", "3", "4"]) {
    for (const steps of [["0"], Array(12).fill("+"), Array(30).fill("ArrowLeft"), Array(60).fill("ArrowRight"), Array(60).fill("ArrowUp"), ["0"], Array(20).fill("-")]) {
      await page.keyboard.press(view);
      for (const key of steps) await page.keyboard.press(key);
      const { tissue, zoom } = await inSight();
      assert.ok(tissue > 0, `view ${view}, ${steps.length} times ${steps[0]}, zoom ${zoom}`);
    }
    await page.keyboard.press("r");
  }
  // 1:1 is about the selected finding, wherever it is.
  await page.locator(".findings .show:visible", { hasText: "L CC" }).first().click();
  await reading(() => globalThis.mammoscope.lightbox.active.pane.fit());
  await page.getByRole("button", { name: "1:1", exact: true }).click();
  const off = await reading(() => {
    const { lightbox, reading } = globalThis.mammoscope;
    const { box } = reading.finding(reading.selected);
    const { map, size } = lightbox.active.pane;
    const [x, y] = [(map.a * (box.x0 + box.x1)) / 2 + map.c, (map.d * (box.y0 + box.y1)) / 2 + map.f];
    return x > 0 && y > 0 && x < size.width && y < size.height;
  });
  assert.ok(off, "the finding is out of sight");
  await page.keyboard.press("r");
  await reading(() => globalThis.mammoscope.reading.select(null));
  noTroubles();
});

test("shows millimetres of the files as millimetres of the monitor, once that is measured", inTests, async () => {
  await page.getByRole("button", { name: "Life size" }).click();
  const measuring = page.getByRole("dialog", { name: "Life size" });
  await measuring.getByLabel("Width of the card").fill("428");
  const card = await measuring.getByText("as wide as a bank card").boundingBox();
  assert.ok(Math.abs(card.width - 428) < 1 && Math.abs(card.height - (428 * 53.98) / 85.6) < 1, JSON.stringify(card));
  await measuring.getByRole("button", { name: "Show life size" }).click();
  const zooms = () =>
    reading(() => globalThis.mammoscope.lightbox.panes.map(({ state, view }) => state.camera.zoom / view.spacing.column_mm));
  for (const zoom of await zooms()) assert.ok(Math.abs(zoom - 428 / 85.6) < 0.01, String(zoom));
  await page.keyboard.press("g");
  await page.keyboard.press("u"); // the browser remembers
  for (const zoom of await zooms()) assert.ok(Math.abs(zoom - 428 / 85.6) < 0.01, String(zoom));
  await page.keyboard.press("r");
  noTroubles();
});

test("can be read with the keyboard alone", inTests, async () => {
  await reading(() => document.activeElement?.blur());
  const keys = async (...names) => {
    for (const name of names) await page.keyboard.press(name);
  };
  const state = () =>
    reading(() => {
      const { reading } = globalThis.mammoscope;
      return { selected: reading.selected, enlarged: reading.enlarged, threshold: reading.threshold, tool: reading.display.tool, verdicts: JSON.stringify(reading.record.verdicts) };
    });
  await keys("1");
  assert.match(await reading(() => document.activeElement.getAttribute("aria-label")), /^R CC/);
  const before = await state();
  await keys("n");
  assert.ok((await state()).selected);
  await keys("x");
  assert.notEqual((await state()).verdicts, before.verdicts);
  await keys("x", "Enter");
  assert.notEqual((await state()).enlarged, null);
  await drawn(page, 1);
  await keys("+", "ArrowLeft", "Shift+ArrowUp", "i", "i", "0", "f", "Escape");
  assert.equal((await state()).enlarged, null);
  await drawn(page, 4);
  await keys("]");
  assert.ok((await state()).threshold > before.threshold);
  await keys("[", "l");
  assert.equal((await state()).tool, "length");
  await keys("w", "?");
  assert.ok(await page.locator(".help-sheet").isVisible());
  await keys("Escape");
  assert.ok(!(await page.locator(".help-sheet").isVisible()));
  // Everything that can be pressed is reached with Tab, and shows that it is.
  await reading(() => document.activeElement?.blur());
  const reached = new Set();
  for (let step = 0; step < 100; step++) {
    await page.keyboard.press("Tab");
    reached.add(await reading(() => document.activeElement.getAttribute("aria-label") || document.activeElement.textContent.slice(0, 20) || document.activeElement.id));
  }
  for (const name of ["Choose files", "Synthetic exam", "Window", "Keys", "threshold", "Accept", "impression", "PDF report"]) {
    assert.ok([...reached].some((text) => text.startsWith(name)), `${name} is not reached: ${[...reached]}`);
  }
  await page.getByLabel("Impression").focus();
  await page.keyboard.type("xaw");
  assert.match(await page.getByLabel("Impression").inputValue(), /xaw$/);
  await page.getByLabel("Impression").fill("");
});

test("measures and draws with the keyboard alone", inTests, async () => {
  const keys = async (names) => {
    for (const name of names.split(" ")) await page.keyboard.press(name);
  };
  const said = () => page.locator(".crosshair-words").innerText();
  const lengths = page.locator(".overlay .note", { hasText: "mm" });
  const drawnOnes = page.locator(".finding.drawn");
  await reading(() => document.activeElement?.blur());
  await keys("2 l ArrowLeft");
  assert.match(await said(), /^Crosshair in the middle.*Enter sets the start/);
  await keys("ArrowLeft ArrowLeft Enter ArrowDown ArrowDown ArrowDown Shift+ArrowDown");
  const zoom = await reading(() => globalThis.mammoscope.lightbox.active.pane.state.camera.zoom);
  const expected = `${((37 / zoom) * 0.07).toFixed(1)} mm`;
  assert.equal(await said(), expected);
  assert.deepEqual(await serious(), []);
  await keys("Enter");
  assert.equal(await said(), `Measured: ${expected}.`);
  assert.equal(await lengths.textContent(), expected);
  await keys("Backspace Enter ArrowDown Escape");
  assert.equal(await said(), "");
  assert.equal(await lengths.count(), 0);
  const before = await drawnOnes.count();
  await keys("d ArrowUp Enter ArrowLeft ArrowLeft Enter ArrowUp ArrowUp Enter");
  assert.match(await said(), /^Point 3 set at column \d+, row \d+\. Enter once more closes/);
  await keys("Escape ArrowUp Enter Enter");
  assert.equal(await said(), "An outline needs three points.");
  assert.equal(await drawnOnes.count(), before);
  await keys("ArrowLeft ArrowLeft Enter ArrowUp ArrowUp Enter Enter");
  assert.equal(await said(), "Outline of 3 points drawn.");
  assert.equal(await drawnOnes.count(), before + 1);
  const [a, b, c] = await reading(() => globalThis.mammoscope.reading.drawn.at(-1).outline);
  const side = 24 / (await reading(() => globalThis.mammoscope.lightbox.active.pane.state.camera.zoom));
  assert.ok(Math.abs(Math.abs(b[0] - a[0]) - side) < 0.1 && b[1] === a[1] && Math.abs(b[1] - c[1] - side) < 0.1, JSON.stringify([a, b, c]));
  // The lens follows, and the image follows a crosshair at its edge.
  await keys(`m${" ArrowLeft".repeat(30)}`);
  assert.ok(await page.locator(".lens:visible").count());
  assert.ok(await reading(() => globalThis.mammoscope.lightbox.active.pane.state.fitted === null));
  await keys("w r");
  assert.equal(await page.locator(".lens:visible").count(), 0);
  await drawnOnes.last().getByRole("button", { name: /^Remove/ }).click();
});

test("puts a mirrored image's pixels and its overlay in exact register", inTests, async () => {
  page.on("dialog", (dialog) => dialog.accept());
  const last = await reading(() => globalThis.mammoscope.reading.status.id);
  await drop(page, [at("marked.dcm")]);
  await analysed(page, last);
  await drawn(page, 1);
  assert.ok(await reading(() => globalThis.mammoscope.lightbox.panes[0].state.camera.flipped));
  assert.ok(await page.locator(".heading .mirrored").isVisible());
  const compare = (zoom) =>
    reading(
      async ({ zoom, mark }) => {
        const { panes } = globalThis.mammoscope.lightbox;
        if (zoom !== null) panes[0].moveTo({ ...panes[0].state.camera, zoom, x: mark.x0 + 0.3, y: mark.y0 + 10.7 });
        do await new Promise((resolve) => setTimeout(resolve, 100));
        while (document.querySelector(".pane[data-pending]"));
        return panes.map((pane) => {
          const canvas = pane.root.querySelector("canvas");
          const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          const { map } = pane;
          const at = (x, y) => [map.a * x + map.c, map.d * y + map.f];
          const [column, row] = at(mark.x0 + 12, mark.y0 + 12).map(Math.round);
          const grey = (x, y) => (x < 0 || y < 0 || x >= width || y >= height ? 0 : data[4 * (y * width + x)]);
          // From inside of the mark to the dark around it: where the grey falls below the middle of both.
          const edge = (from, to, step, greyAt) => {
            const half = (greyAt(from) + greyAt(to)) / 2;
            for (let here = from; here >= 0 && here < 4000; here += step) {
              const [a, b] = [greyAt(here), greyAt(here + step)];
              if (a >= half && b < half) return here + 0.5 + (step * (a - half)) / (a - b);
            }
            return NaN;
          };
          const [farColumn, farRow] = at(mark.x0 - 12, mark.y0 - 12).map(Math.round);
          const seen = [edge(column, farColumn, 1, (x) => grey(x, row)), edge(row, farRow, -1, (y) => grey(column, y))];
          return { source: pane.source, seen, expected: at(mark.x0, mark.y0) };
        });
      },
      { zoom, mark: MARK },
    );
  const check = (all, zoom) => {
    for (const { source, seen, expected } of all) {
      for (const axis of [0, 1]) {
        const off = Math.abs(seen[axis] - expected[axis]);
        assert.ok(off < Math.max(0.6, 0.1 * zoom), `${source} at zoom ${zoom}, ${"xy"[axis]}: seen at ${seen[axis]}, overlay at ${expected[axis]}`);
      }
    }
  };
  for (const zoom of [null, 3, 11]) check(await compare(zoom), zoom ?? 0.5);
  // So is what the models see, though it is mirrored again and cropped.
  await page.getByRole("button", { name: "Side by side" }).click();
  await drawn(page, 2);
  const both = await compare(4);
  assert.deepEqual(both.map(({ source }) => source), ["original", "preprocessed"]);
  check(both, 4);
  await page.getByRole("button", { name: "Original" }).click();
});

test("never mirrors an image on which no breast was found", inTests, async () => {
  const last = await reading(() => globalThis.mammoscope.reading.status.id);
  await drop(page, [at("blank.dcm")]);
  await analysed(page, last);
  await drawn(page, 1);
  assert.equal(await page.locator(".outcome").innerText(), "No breast found; nothing was analysed.");
  assert.equal(await reading(() => globalThis.mammoscope.lightbox.panes[0].state.wall), "right");
  assert.equal(await reading(() => globalThis.mammoscope.lightbox.panes[0].state.camera.flipped), false);
  assert.ok(!(await page.locator(".heading .mirrored").isVisible()));
  noTroubles();
});

test("shows a broken file's error beside a good one that works", inTests, async () => {
  const last = await reading(() => globalThis.mammoscope.reading.status.id);
  await drop(page, [at("broken.dcm"), at("small.dcm")]);
  await analysed(page, last);
  await drawn(page, 1);
  assert.match(await page.locator(".findings-panel .error").innerText(), /^broken\.dcm: failed: .{10,}/);
  assert.match(await page.locator(".exam-list li.failed .error").innerText(), /^Failed: /);
  assert.ok((await page.locator(".finding:visible").count()) > 0);
  assert.equal(await page.locator(".models p").count(), 3);
  assert.ok(!(await page.locator(".models").isVisible()), "what the models are is a click away");
  await page.getByText("What the numbers mean, and which models said so").click();
  assert.match(await page.locator(".models").innerText(), /^Models: mammoscope-cbis-ddsm/);
  await page.getByText("What the numbers mean, and which models said so").click();
});

test("two women that are dropped together hang as two exams, each under her own name", inTests, async () => {
  const last = await reading(() => globalThis.mammoscope.reading.status.id);
  const before = await page.locator(".exams > .exam").count();
  await drop(page, [at("small.dcm"), at("other-woman.dcm"), at("marked.dcm")]);
  const first = await analysed(page, last);
  await drawn(page, 1); // the second L CC is on a sheet of its own
  await page.getByText("The files are 2 exams: those of one exam state the same patient and study.").waitFor();
  assert.equal(await page.locator(".exams > .exam").count(), before + 2);
  assert.deepEqual(await page.locator(".exam.open .file-name").allInnerTexts(), ["small.dcm", "marked.dcm"]);
  assert.match(await page.locator(".patient").innerText(), /^SYNTHETIC, PHANTOM\nID .+, born|^SYNTHETIC, PHANTOM\nID .+/);
  await page.getByText("Warning: Standard views are missing: R CC, R MLO, L MLO.").waitFor();
  await page.getByText("Warning: L CC is there 2 times.").waitFor();
  await page.locator(".exam", { hasText: /Exam .*, 2 of 2/ }).locator(".exam-name").first().click();
  await analysed(page, first);
  await drawn(page, 1);
  assert.deepEqual(await page.locator(".exam.open .file-name").allInnerTexts(), ["other-woman.dcm"]);
  assert.match(await page.locator(".patient").innerText(), /^OTHER, WOMAN\nID OTHER-WOMAN/);
  // On the view and in the list she is named too, and nobody else is.
  assert.match(await page.locator(".pane .whose").innerText(), /^OTHER, WOMAN\nID OTHER-WOMAN/);
  assert.match(await page.locator(".exam.open").innerText(), /^OTHER, WOMAN/);
  for (const place of [".lightbox", ".side", ".exam.open"]) assert.ok(!(await page.locator(place).innerText()).includes("SYNTHETIC, PHANTOM"), place);
  noTroubles();
});

test("images that state no woman are one exam for each folder below the one that is dropped", inTests, async () => {
  const last = await reading(() => globalThis.mammoscope.reading.status?.id);
  await dropFromDesktop(page, at("women"));
  await page.getByText("The files are 2 exams").waitFor();
  await analysed(page, last);
  assert.deepEqual(await page.locator(".exam.open .file-name").allInnerTexts(), ["1.png", "2.png"]);
  await page.getByText("Warning: These images are together because they were sent together").first().waitFor();
  // Nor do they state a spacing: their one scale is in pixels, which is said, as are sizes.
  await page.getByText("one scale in pixels: not every file states its spacing").first().waitFor();
  assert.match(await page.locator(".findings .finding").first().innerText(), /\d+ px/);
  // Nothing is taken away of what may be a mixture of women, by the page nor by the server, until the reader has looked.
  await page.getByRole("alert").getByText("they may be of several women").waitFor();
  assert.ok(await page.getByRole("button", { name: "PDF report" }).isDisabled());
  const [mixture] = await reading(() => [globalThis.mammoscope.reading.status.id]);
  const refused = await page.request.post(`${server.address}/api/v1/analyses/${mixture}/report`, { data: { threshold: 0.1 } });
  assert.equal(refused.status(), 409);
  await page.getByRole("button", { name: "I checked: they are of one woman" }).click();
  assert.ok(await page.getByRole("button", { name: "PDF report" }).isEnabled());
  await page.getByText(/^Saved on the server/).waitFor();
  noTroubles();
});

test("a folder is dropped; a fifth view hangs on a sheet of its own", inTests, async () => {
  const last = await reading(() => globalThis.mammoscope.reading.status.id);
  await dropFromDesktop(page, at("folder"));
  await analysed(page, last);
  await drawn(page, 4);
  assert.deepEqual(await page.locator(".exam.open .file-name").allInnerTexts(), [1, 2, 3, 4, 5].map((number) => `IM000${number}`));
  const sheet = page.getByRole("group", { name: "Sheets" }).getByRole("status");
  assert.equal(await sheet.innerText(), "1 of 2");
  await page.locator("body").press("PageDown");
  await drawn(page, 1);
  assert.equal(await sheet.innerText(), "2 of 2");
  assert.match(await page.locator(".pane").getAttribute("aria-label"), /^L CC/);
  await page.locator(".findings .show:visible", { hasText: "MLO" }).first().click();
  await drawn(page, 4);
  noTroubles();
});

describe("a ZIP archive", () => {
  let zipped;
  test("is dropped, and a reading saved beside other files is refused", inTests, async () => {
    const last = await reading(() => globalThis.mammoscope.reading.status.id);
    await dropFromDesktop(page, at("archive.zip"));
    zipped = await analysed(page, last);
    await drawn(page, 1);
    assert.deepEqual(await page.locator(".exam.open .file-name").allInnerTexts(), ["small.dcm"]);
    await drop(page, [at("saved.json")]);
    await page.getByText("saved.json cannot be opened: it belongs to none of the files that are open.").waitFor();
    await page.getByRole("button", { name: "Dismiss" }).click();
    assert.equal(await reading(() => globalThis.mammoscope.reading.status.id), zipped);
  });

  test("and its reading opens again beside its image", inTests, async () => {
    await page.getByRole("button", { name: /^Accept finding 1/ }).click();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "JSON", exact: true }).click()]);
    await download.saveAs(at("own.json"));
    await drop(page, [at("small.dcm"), at("own.json")]);
    await analysed(page, zipped);
    await page.getByText("Opened: 1 verdict, 0 drawn findings, no impression.").waitFor();
    assert.equal(await page.getByRole("button", { name: /^Accept finding 1/ }).getAttribute("aria-pressed"), "true");
    noTroubles();
  });

  test("shows the same without WebGL", inTests, async () => {
    await reading((id) => void (location.hash = `exam=${id}`), zipped);
    await page.waitForFunction((id) => globalThis.mammoscope.reading.status?.id === id && globalThis.mammoscope.reading.analyses, zipped);
    await drawn(page, 1);
    const plainBrowser = await launch("--disable-software-rasterizer");
    try {
      const plain = await openPage(plainBrowser, `${server.address}`);
      await plain.evaluate((id) => void (location.hash = `exam=${id}`), zipped);
      await analysed(plain);
      await drawn(plain, 1);
      assert.equal(await plain.locator("canvas.plain-canvas").count(), 1);
      const compare = async () => {
        const [a, b] = [await greys(page), await greys(plain)];
        assert.equal(a.length, b.length);
        assert.ok(Math.max(...a) > 150, "nothing is shown");
        return a.reduce((sum, grey, place) => sum + Math.abs(grey - b[place]), 0) / a.length;
      };
      const off = await compare();
      assert.ok(off < 2, `greys differ by ${off} in the mean`);
      for (const each of [page, plain]) {
        await each.evaluate(() => {
          const [pane] = globalThis.mammoscope.lightbox.panes;
          pane.setWindow({ center: 20000, width: 20000 });
          pane.zoomAt(100, 200, 2.5);
        });
        await settled(each);
      }
      const offAfter = await compare();
      assert.ok(offAfter < 3, `after zoom and window greys differ by ${offAfter} in the mean`);
      const shapes = () => plain.locator('.overlay g[data-finding][display="inline"]').count();
      assert.ok((await shapes()) > 0);
      await plain.evaluate(() => globalThis.mammoscope.reading.setThreshold(0.99));
      assert.equal(await shapes(), 0);
      assert.deepEqual(plain.troubles, []);
    } finally {
      await plainBrowser.close();
    }
  });
});

test("an image of 20 megapixels is shown and stays smooth", inTests, async () => {
  const last = await reading(() => globalThis.mammoscope.reading.status.id);
  await reading(() => {
    globalThis.seen = { uploaded: 0, first: 0 };
    const was = globalThis.mammoscope.reading.status.id;
    const watch = () => {
      const isOpen = globalThis.mammoscope.reading.status?.id !== was;
      if (isOpen) globalThis.seen.uploaded ||= performance.now();
      if (isOpen && document.querySelector(".pane[data-frames]")) globalThis.seen.first ||= performance.now();
    };
    new MutationObserver(watch).observe(document.body, { subtree: true, childList: true, attributes: true });
  });
  await drop(page, [at("film.dcm")]);
  await analysed(page, last);
  await drawn(page, 1);
  const wait = await reading(() => Math.round(globalThis.seen.first - globalThis.seen.uploaded));
  const { rows, columns } = await reading(() => globalThis.mammoscope.lightbox.panes[0].image);
  assert.deepEqual([rows, columns], [5120, 4096]);
  const times = await frameTimes(page);
  console.log(`20 megapixels: first view ${wait} ms after the upload, window ${times.window} ms, threshold ${times.threshold} ms`);
  assert.ok(wait < 15_000 && times.window < 400 && times.threshold < 400, JSON.stringify({ wait, ...times }));
  noTroubles();
});

test("a script in a patient's name is text", inTests, async () => {
  const last = await reading(() => globalThis.mammoscope.reading.status.id);
  await drop(page, [at("script.dcm")]);
  await analysed(page, last);
  await page.locator(".patient", { hasText: "<script>" }).waitFor();
  assert.match(await page.title(), /^Exam \d\d:\d\d:\d\d - mammoscope$/);
  assert.equal(await page.locator(".patient script, .patient img, .whose script, .whose img").count(), 0);
  await page.reload();
  await analysed(page);
  await page.locator(".patient", { hasText: "<script>" }).waitFor(); // a reload loses no name
  assert.ok(!decodeURIComponent(page.url()).includes("script"));
  noTroubles();
});

test("a reload in the middle loses nothing", inTests, async () => {
  const last = await reading(() => globalThis.mammoscope.reading.status.id);
  await drop(page, [at("exam/phantom-L-CC.dcm"), at("exam/phantom-L-MLO.dcm")]);
  await page.waitForFunction((last) => ![null, last].includes(globalThis.mammoscope.reading.status?.id ?? null), last);
  const [id, state] = await reading(() => [globalThis.mammoscope.reading.status.id, globalThis.mammoscope.reading.status.state]);
  assert.ok(["queued", "running"].includes(state), state);
  await page.reload();
  assert.equal(await analysed(page), id);
  await drawn(page, 2);
  assert.ok((await page.locator(".findings .show:visible").count()) > 0);
});

test("several exams are listed, opened and deleted", inTests, async () => {
  const before = await page.locator(".exams > .exam").count();
  assert.ok(before >= 4);
  await reading((id) => void (location.hash = `exam=${id}`), exam);
  await page.waitForFunction((id) => globalThis.mammoscope.reading.status?.id === id && globalThis.mammoscope.reading.analyses, exam);
  await drawn(page, 4);
  await page.locator(".exam.open").getByRole("button", { name: /^Delete/ }).click();
  await page.getByRole("heading", { name: /Drop a mammogram/ }).waitFor();
  assert.equal(await page.locator(".exams > .exam").count(), before - 1);
  assert.equal((await page.request.get(`${server.address}/api/v1/analyses/${exam}`)).status(), 404);
});

test("a lesion that the models find in both views is one row, which opens into its views", inTests, async () => {
  const own = await openPage(browser, server.address);
  try {
    await drop(own, [at("exam/phantom-L-CC.dcm"), at("exam/phantom-L-MLO.dcm")]);
    await analysed(own);
    await drawn(own, 2);
    const lesion = own.locator(".findings .lesion").first();
    assert.match(await lesion.innerText(), /1 L CC\s+1 L MLO[^]*upper outer, about \d+ o'clock/);
    const parts = own.locator(".findings .part:visible");
    assert.equal(await parts.count(), 0);
    await lesion.getByRole("button", { name: /^The 2 views of L CC, L MLO/ }).focus();
    await own.keyboard.press("Enter");
    assert.equal(await parts.count(), 2);
    // One verdict for both, by button and by key; a part may differ.
    await lesion.getByRole("button", { name: "Accept finding 1 of L CC, L MLO" }).click();
    assert.deepEqual(await own.evaluate(() => globalThis.mammoscope.reading.record.verdicts.map(({ verdict }) => verdict)), ["accepted", "accepted"]);
    await parts.nth(1).getByRole("button", { name: "Reject finding 1 of L MLO" }).click();
    assert.equal(await lesion.locator('[aria-pressed="true"]').count(), 0);
    await lesion.locator(".show").click();
    assert.match(await own.locator(".findings .words").innerText(), /Same mass in L CC, L MLO, by the models/);
    await own.keyboard.press("x");
    assert.deepEqual(await own.evaluate(() => globalThis.mammoscope.reading.record.verdicts.map(({ verdict }) => verdict)), ["rejected", "rejected"]);
    assert.deepEqual(await serious(own), []);
    assert.deepEqual(own.troubles, []);
  } finally {
    await own.context().close();
  }
});

test("a view's findings show when the view is done, where the models look at each view alone", inTests, async () => {
  const alone = await startServer("--port", "0", "--bundle", at("alone"));
  const own = await openPage(browser, alone.address);
  try {
    await own.evaluate(() => {
      globalThis.seen = { finding: 0, words: "", end: 0 };
      const watch = () => {
        if (globalThis.mammoscope.reading.analyses) globalThis.seen.end ||= performance.now();
        else if (document.querySelector(".findings .finding")) {
          globalThis.seen.finding ||= performance.now();
          globalThis.seen.words = document.querySelector(".outcome").textContent;
        }
      };
      new MutationObserver(watch).observe(document.body, { subtree: true, childList: true, characterData: true });
    });
    await drop(own, EXAM.map((name) => at(`exam/${name}`)));
    await analysed(own);
    await drawn(own, 4);
    const seen = await own.evaluate(() => globalThis.seen);
    console.log(`first finding ${Math.round(seen.end - seen.finding)} ms before the exam's end`);
    assert.ok(seen.finding > 0 && seen.finding < seen.end, JSON.stringify(seen));
    assert.match(seen.words, /^[1-4] of 4 views analysed: \d+ findings? at or above the threshold of 0\.33 so far\.$/);
    assert.equal(await own.locator(".findings .lesion").count(), 0);
    assert.deepEqual(own.troubles, []);
  } finally {
    await own.context().close();
    await alone.stop();
  }
});

test("a restart of the server with --data loses nothing", inTests, async () => {
  const options = ["--bundle", at("bundle"), "--data", at("data")];
  const first = await startServer("--port", "0", ...options);
  const own = await openPage(browser, first.address);
  await drop(own, [at("small.dcm")]);
  const id = await analysed(own);
  await own.getByLabel("Impression").fill("kept");
  await own.getByText(/^Saved on the server/).waitFor();
  await first.stop();
  const second = await startServer("--port", new URL(first.address).port, ...options);
  try {
    await own.reload();
    assert.equal(await analysed(own), id);
    await drawn(own, 1);
    assert.equal(await own.getByLabel("Impression").inputValue(), "kept");
  } finally {
    await own.context().close();
    await second.stop();
  }
});

test("one press makes the synthetic exam; the page fits a portrait monitor", inTests, async () => {
  const own = await openPage(browser, server.address, PORTRAIT_SCREEN);
  await own.getByRole("button", { name: "Synthetic exam", exact: true }).click();
  await drawn(own, 4);
  const { width, height, shown } = await own.evaluate(() => {
    const { width, height } = document.querySelector(".lightbox").getBoundingClientRect();
    const isSeen = (each) => {
      const { top, bottom, left, right } = each.getBoundingClientRect();
      return top >= 0 && left >= 0 && bottom <= innerHeight && right <= innerWidth;
    };
    return { width, height, shown: [".notice", ".toolbar", ".lightbox", ".record"].every((name) => isSeen(document.querySelector(name))) };
  });
  assert.ok(width > 1300 && height > 2300, `${width} x ${height}`);
  assert.ok(shown);
  assert.deepEqual(own.troubles, []);
  await own.context().close();
});
