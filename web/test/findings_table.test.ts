import { describe, expect, it } from "vitest";
import type { Analysis, ExamFile, ExamStatus, Finding, View } from "../src/model/api";
import { lengthWords, longestIn, placeWords, rowsOf, rowWith, sizeOf, viewsWords } from "../src/model/findings_table";
import { Reading } from "../src/model/reading";

/** A breast of 600 columns and 1000 rows in a file of 700 by 1000; the chest wall is left, the nipple at row 500. */
function view(laterality: "LEFT" | "RIGHT", name: string, mm: number | null = 0.1, isMirrored = false): View {
  const from_original = { scale_x: isMirrored ? -1 : 1, shift_x: isMirrored ? 600 : 0, scale_y: 1, shift_y: 0 };
  const spacing = mm === null ? null : { row_mm: mm, column_mm: mm, source: "" };
  return {
    rows: 1000,
    columns: 700,
    pixel_aspect: 1,
    laterality,
    view: name,
    spacing,
    window: { center: 0, width: 1 },
    preprocessed: { rows: 1000, columns: 600, from_original, tip_row: 500 },
    warnings: [],
  };
}

/** A finding around a point, 20 pixels in diameter. */
function finding(
  x: number,
  y: number,
  detection_score: number,
  malignancy_score: number | null,
  lesion: string | null = null,
): Finding {
  return {
    kind: "mass",
    detection_score,
    malignancy_score,
    malignancy: malignancy_score === null ? null : "malignant",
    features: {},
    lesion,
    box: { x0: x - 10, y0: y - 10, x1: x + 10, y1: y + 10 },
    outline: [
      [x - 10, y],
      [x, y - 10],
      [x + 10, y],
    ],
    size: { area_mm2: null, longest_diameter_mm: null, unknown_because: null },
  };
}

function open(...files: [View, ...Finding[]][]): Reading {
  const reading = new Reading();
  const listed = files.map(
    ([view], number) =>
      ({ number, name: "", state: "done", progress: 1, error: null, view, result: number }) satisfies ExamFile,
  );
  reading.open({
    id: "1",
    created: "",
    state: "done",
    progress: 1,
    files: listed,
    is_vouched: false,
    warnings: [],
  } satisfies ExamStatus);
  reading.analyses = files.map(([, ...findings]) => ({ findings }) as unknown as Analysis);
  reading.setThreshold(0.3);
  return reading;
}

const keys = (reading: Reading) => rowsOf(reading).map(({ key }) => key);

describe("rows", () => {
  const reading = open(
    [view("RIGHT", "CC"), finding(100, 100, 0.9, 0.2), finding(300, 300, 0.5, 0.8, "2.25.1"), finding(1, 1, 0.2, 1)],
    [view("RIGHT", "MLO"), finding(300, 300, 0.4, 0.8, "2.25.1"), finding(50, 50, 0.35, 0.95)],
  );

  it("has none without findings", () => expect(rowsOf(open([view("LEFT", "CC")]))).toEqual([]));

  it("joins the views of a lesion, and sorts by detection times malignancy", () => {
    expect(keys(reading)).toEqual(["0/1+1/0", "1/1", "0/0"]);
  });

  it.each([
    ["detection", ["0/0", "0/1+1/0", "1/1"]],
    ["malignancy", ["1/1", "0/1+1/0", "0/0"]],
    ["where", ["0/0", "0/1+1/0", "1/1"]],
  ] as const)("sorts by %s", (order, expected) => {
    reading.sortBy(order);
    expect(keys(reading)).toEqual(expected);
    reading.sortBy("suspicion");
  });

  it("does not push back what is not graded, but sorts it last by malignancy", () => {
    const mixed = open([
      view("RIGHT", "CC"),
      finding(100, 100, 0.9, 0.2),
      finding(300, 300, 0.5, null),
      finding(1, 1, 0.8, 0.7),
    ]);
    expect(keys(mixed)).toEqual(["0/2", "0/1", "0/0"]);
    mixed.sortBy("malignancy");
    expect(keys(mixed)).toEqual(["0/2", "0/0", "0/1"]);
  });

  it("lets go of a view below the threshold", () => {
    reading.setThreshold(0.45);
    expect(keys(reading)).toEqual(["0/1", "0/0"]);
    expect(rowWith(reading, { file: 1, finding: 0 })).toBeNull();
    reading.setThreshold(0.3);
    expect(rowWith(reading, { file: 1, finding: 0 })?.key).toBe("0/1+1/0");
  });

  it("names views", () => expect(viewsWords(reading, rowsOf(reading)[0]!.refs)).toBe("R CC, R MLO"));
});

describe("sizes", () => {
  it("is the server's where it is known", () => {
    const measured = {
      ...finding(50, 50, 1, 1),
      size: { area_mm2: 1, longest_diameter_mm: 2.04, unknown_because: null },
    };
    expect(lengthWords(sizeOf(measured, view("LEFT", "CC")))).toBe("2.0 mm");
  });
  it("is in pixels where the spacing is not known", () =>
    expect(lengthWords(sizeOf(finding(50, 50, 1, 1), view("LEFT", "CC", null)))).toBe("20 px"));
  it("is not known without an outline", () =>
    expect(lengthWords(sizeOf({ ...finding(5, 5, 1, 1), outline: [] }, null))).toBe("?"));
  it("of what the reader drew is measured here", () =>
    expect(
      lengthWords(
        longestIn(
          [
            [0, 0],
            [30, 40],
            [0, 10],
          ],
          view("LEFT", "CC"),
        ),
      ),
    ).toBe("5.0 mm"));
});

describe("where", () => {
  const words = (...files: [View, Finding][]) => {
    const reading = open(...files);
    return placeWords(
      reading,
      files.map((_, file) => ({ file, finding: 0 })),
    );
  };
  const at = (x: number, y: number) => finding(x, y, 1, 1);

  it.each<[string, View, Finding, string]>([
    ["above the nipple in CC", view("LEFT", "CC"), at(100, 200), "outer, posterior third"],
    ["below it", view("LEFT", "CC"), at(300, 800), "inner, middle third"],
    ["in MLO", view("RIGHT", "MLO"), at(500, 200), "upper, anterior third"],
    ["in a mirrored file", view("RIGHT", "MLO", 0.1, true), at(100, 800), "lower, anterior third"],
    ["at its height", view("LEFT", "CC"), at(100, 520), "central, posterior third"],
    ["in a view that tells no half", view("LEFT", "XCCL"), at(100, 200), "posterior third"],
  ])("%s", (_, shown, found, said) => expect(words([shown, found])).toBe(said));

  it("is not known before the analysis", () =>
    expect(words([{ ...view("LEFT", "CC"), preprocessed: null }, at(1, 1)])).toBe(""));

  it.each<[string, "LEFT" | "RIGHT", number, number, string]>([
    ["upper outer of the left", "LEFT", 200, 200, "upper outer, about 2 o'clock"],
    ["upper outer of the right", "RIGHT", 200, 200, "upper outer, about 10 o'clock"],
    ["lower inner of the left", "LEFT", 800, 800, "lower inner, about 8 o'clock"],
    ["straight up", "LEFT", 500, 100, "upper, about 12 o'clock"],
    ["behind the nipple", "LEFT", 500, 510, "central"],
  ])("both views tell the quadrant: %s", (_, side, yInCc, yInMlo, said) => {
    expect(words([view(side, "CC"), at(100, yInCc)], [view(side, "MLO"), at(100, yInMlo)])).toBe(
      `${said}, posterior third`,
    );
  });
});
