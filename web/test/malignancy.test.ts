import { expect, test } from "vitest";
import { malignancyWords, operatingPointPercent, operatingPointWords } from "../src/model/malignancy";

// As in tests/writers/test_malignancy_words.py: page and report must agree.
test.each([
  [0.46, 0.4, "malignancy 46%, above the operating point of 40%"],
  [0, 0.4, "malignancy <1%, below the operating point of 40%"],
  [1, 0.4, "malignancy >99%, above the operating point of 40%"],
  [0.4, 0.4, "malignancy 40%, at the operating point of 40%"],
  [0.125, 0.4, "malignancy 13%, below the operating point of 40%"],
  [0.418, 0.423, "malignancy 41.8%, below the operating point of 42.3%"],
  [0.424, 0.423, "malignancy 42.4%, above the operating point of 42.3%"],
  [0.39999999, 0.4, "malignancy 39.999999%, below the operating point of 40.000000%"],
])("%d beside %d is %s", (score, point, words) => {
  expect(`${malignancyWords(score, point)}, ${operatingPointWords(score, point)}`).toBe(words);
});

test("the operating point of several findings has the digits of the nearest", () => {
  expect(operatingPointPercent(0.423)).toBe("42%");
  expect(operatingPointPercent(0.423, [0.9, 0.418, 0.1])).toBe("42.3%");
});

test("what no model grades has no percentage and no side", () => {
  expect(malignancyWords(null, 0.4)).toBe("malignancy not graded");
  expect(operatingPointWords(null, 0.4)).toBe("");
});
