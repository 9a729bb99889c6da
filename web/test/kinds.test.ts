import { expect, it } from "vitest";
import { readFileSync } from "node:fs";
import type { Finding, FindingKind, Health } from "../src/model/api";
import { kindOf, onlySought, soughtWords } from "../src/model/kinds";

const row = (name: string, plural: string, sought: boolean): FindingKind => ({
  name: name as FindingKind["name"],
  word: `the word for ${name}`,
  plural,
  indefinite: `one ${name}`,
  longest: "longest",
  outlined: true,
  sought,
});
const told = (...kinds: FindingKind[]) => ({ kinds }) as unknown as Health;
const calcification = { kind: "calcification" } as Finding;

it("calls a finding what the server's table calls its kind", () => {
  const health = told(row("mass", "masses", true), row("calcification", "calcifications", false));
  expect(kindOf(health, calcification)).toBe(health.kinds[1]);
});

it("calls a finding by the name of its kind until the table is there", () => {
  expect(kindOf(null, calcification)).toMatchObject({ word: "calcification", outlined: true });
});

it.each([
  [[true, false], "masses", "mass"],
  [[true, true], "masses and calcifications", null],
])("says what the models look for: %j", ([first, second], words, only) => {
  const health = told(row("mass", "masses", first!), row("calcification", "calcifications", second!));
  expect(soughtWords(health)).toBe(words);
  expect(onlySought(health)?.name ?? null).toBe(only);
});

it("describes every kind in the API that the page is typed by", () => {
  const api = JSON.parse(readFileSync(new URL("../openapi.json", import.meta.url), "utf-8"));
  const kinds: FindingKind[] = api.components.schemas.Health.example.kinds;
  expect(kinds.map(({ name }) => name)).toEqual(api.components.schemas.Finding.properties.kind.enum);
  for (const kind of kinds) expect(kindOf(told(...kinds), { kind: kind.name } as Finding)).toEqual(kind);
});
