import { describe, expect, it } from "vitest";
import { greyTable, sampled, shade } from "../src/view/painter";
import { reduced, type ViewImage } from "../src/model/images";
import { patientFacts, patientName, studyFacts } from "../src/model/patient";
import { shares } from "../src/model/uploads";
import { draggedWindow, presetsOf } from "../src/model/windowing";
import { thinned } from "../src/view/tools";

const window = { center: 128, width: 256 };
const image = (samples: Uint8Array<ArrayBuffer>, columns: number): ViewImage => ({
  key: "",
  source: "original",
  samples,
  columns,
  rows: samples.length / columns,
  left: 0,
  top: 0,
  columnSize: 1,
  rowSize: 1,
  presets: { default: window, tissue: window, dense: window, skin: window },
});

it("maps a window to grey, and inverts it", () => {
  expect(
    [...greyTable({ center: 50, width: 20 }, false, 101)].filter((_, at) => [0, 40, 50, 60, 100].includes(at)),
  ).toEqual([0, 0, 128, 255, 255]);
  expect(greyTable({ center: 50, width: 20 }, true, 101)[100]).toBe(0);
});

describe("sampled and shade", () => {
  it.each([
    [{ a: 1, c: 0, d: 1, f: 0 }, [10, 20, 30, 40]],
    [{ a: -1, c: 2, d: 1, f: 0 }, [20, 10, 40, 30]],
    [{ a: 1, c: 1, d: 1, f: 1 }, [0, 0, 0, 10]],
  ])("puts pixels where the map says: %j", (map, greys) => {
    const target = { width: 2, height: 2, data: new Uint8ClampedArray(16) } as ImageData;
    const seen = sampled(image(new Uint8Array([10, 20, 30, 40]), 2), map, target);
    shade(
      target,
      seen,
      Uint8ClampedArray.from({ length: 256 }, (_, at) => at),
    );
    expect([0, 4, 8, 12].map((at) => target.data[at])).toEqual(greys);
  });
});

it("averages an image that is too large for the graphics card", () => {
  const small = reduced(image(new Uint8Array([10, 20, 30, 40, 50, 60, 70, 80]), 4), 2);
  expect([...small.samples]).toEqual([35, 55]);
  expect([small.columnSize, small.rowSize, small.columns, small.rows]).toEqual([2, 2, 2, 1]);
});

it("makes presets of an empty image", () => {
  expect(presetsOf(new Uint16Array(100), { center: 1, width: 2 }, 65535)).toMatchObject({
    default: { center: 1, width: 2 },
    tissue: { center: 1, width: 2 },
  });
});

it("makes presets from the tissue alone", () => {
  const samples = Uint16Array.from({ length: 2000 }, (_, at) => (at < 1000 ? 0 : 20000 + 10 * (at - 1000)));
  const { tissue } = presetsOf(samples, { center: 1, width: 2 }, 65535);
  expect(tissue.center - tissue.width / 2).toBeGreaterThan(19000);
  expect(tissue.center + tissue.width / 2).toBeLessThan(31000);
});

it("never drags a window shut", () => {
  expect(draggedWindow({ center: 100, width: 10 }, -1e6, 0, 65535).width).toBeGreaterThan(0);
  expect(draggedWindow({ center: 100, width: 1000 }, 10, 0, 65535).width).toBeGreaterThan(1000);
});

it("thins a long drawing", () => {
  expect(thinned(Array.from({ length: 5000 }, (_, at) => [at, 0] as const)).length).toBeLessThanOrEqual(1000);
  expect(
    thinned([
      [0, 0],
      [0, 0],
      [5, 0],
    ]),
  ).toHaveLength(2);
});

it("tells how far each file of an upload is", () => {
  expect(shares([100, 100, 0], 150, 200)).toEqual([1, 0.5, 1]);
  expect(shares([100], 0, 0)).toEqual([0]);
});

it.each([
  [{}, ["", "", ""]],
  [{ name: "Doe, Jane", patient_id: "12", birth_date: "1939-11-13" }, ["Doe, Jane", "ID 12, born 1939-11-13", ""]],
  [
    { patient_id: "12", study_date: "2026-01-31", accession_number: "A1", description: "Screening" },
    ["12", "", "study 2026-01-31, accession A1, Screening"],
  ],
])("says of %o whose exam it is, and nothing more", (stated, words) => {
  const nobody = { name: "", patient_id: "", birth_date: "", study_date: "", accession_number: "", description: "" };
  const patient = { ...nobody, ...stated };
  expect([patientName(patient), patientFacts(patient), studyFacts(patient)]).toEqual(words);
});
