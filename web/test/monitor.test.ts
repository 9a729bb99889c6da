import { describe, expect, it } from "vitest";
import { CARD_MM, cssPixelsPerMm, keepCardWidth, type Memory } from "../src/model/monitor";

function memory(): Memory {
  const kept = new Map<string, string>();
  return { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => void kept.set(key, value) };
}

describe("the size of a pixel", () => {
  it("is not known before it was measured", () => {
    expect(cssPixelsPerMm(memory(), 1)).toBeNull();
  });

  it("is kept in pixels of the monitor, whatever the browser's zoom", () => {
    const here = memory();
    keepCardWidth(here, 4 * CARD_MM, 1.5); // 6 of the monitor's
    expect(cssPixelsPerMm(here, 1.5)).toBeCloseTo(4);
    expect(cssPixelsPerMm(here, 1)).toBeCloseTo(6);
    expect(cssPixelsPerMm(here, 3)).toBeCloseTo(2);
  });

  it.each(["", "wide", "0", "1e9", "NaN"])("is not taken from %j", (text) => {
    expect(cssPixelsPerMm({ getItem: () => text, setItem: () => undefined }, 1)).toBeNull();
  });
});
