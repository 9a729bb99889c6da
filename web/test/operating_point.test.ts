import { describe, expect, it } from "vitest";
import type { Health, Validation } from "../src/model/api";
import { thresholdWords, validationLines } from "../src/model/operating_point";

const point = (threshold: number | null, sensitivity: number, rate: number): Validation["points"][number] => ({
  threshold,
  sensitivity: { value: sensitivity, low: sensitivity - 0.1, high: sensitivity + 0.1 },
  false_positives_per_image: { value: rate, low: rate - 0.1, high: rate + 0.1 },
});

const health = (...points: Validation["points"][number][]): Health =>
  ({
    bundle: { name: "models" },
    validation: points.length
      ? { data: "some-data/train", split: "by patient", patients: 139, images: 248, lesions: 262, points }
      : null,
  }) as unknown as Health;

const own = point(0.3329, 0.61, 0.41);

describe("beside the slider", () => {
  it.each<[string, Health, number, string]>([
    [
      "nothing is stated",
      health(),
      0.33,
      "What a threshold finds is not stated: the models' bundle has no figures for its thresholds.",
    ],
    [
      "the models' own",
      health(own),
      0.3329,
      "On validation it found 61% (51 to 71%) of the lesions, with 0.41 (0.31 to 0.51) false positives an image.",
    ],
    [
      "below it, at least as many",
      health(own),
      0.2,
      "Not measured here. On validation it found at least 61% of the lesions and 0.41 false positives an image, as at 0.33.",
    ],
    [
      "above it, at most as many",
      health(own),
      0.6,
      "Not measured here. On validation it found at most 61% of the lesions and 0.41 false positives an image, as at 0.33.",
    ],
    [
      "between two that are stated",
      health(own, point(0.2, 0.7, 1), point(0.1, 0.8, 2)),
      0.25,
      "Not measured here. On validation it found at least 61% of the lesions and 0.41 false positives an image, as at 0.33, at most 70% of the lesions and 1.00 false positives an image, as at 0.20.",
    ],
  ])("%s", (_, given, threshold, said) => expect(thresholdWords(given, threshold)).toBe(said));

  it("names the data, and what is stated of no known threshold", () => {
    expect(validationLines(health())).toEqual([]);
    const lines = validationLines(health(own, point(null, 0.68, 1)));
    expect(lines[0]).toContain("262 lesions in 248 images of 139 patients of some-data/train (by patient)");
    expect(lines[2]).toBe(
      "At a threshold that the bundle does not state: 68% (58 to 78%) of the lesions, 1.00 (0.90 to 1.10) false positives an image.",
    );
  });
});
