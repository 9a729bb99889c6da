/** The page's floors: view stands on model, model on nothing of the page, and no module imports itself by way of others. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import ts from "typescript";
import { expect, it } from "vitest";

const SOURCE = path.resolve(import.meta.dirname, "../src");

/** What each module imports: modules of the page by their path, such as "model/api", packages by their name. */
type Imports = ReadonlyMap<string, readonly string[]>;

function importsOf(folder: string): Imports {
  const files = readdirSync(folder, { recursive: true, encoding: "utf-8" }).filter((file) => file.endsWith(".ts"));
  return new Map(files.map((file) => [nameOf(file), importsIn(file, readFileSync(path.join(folder, file), "utf-8"))]));
}

const nameOf = (file: string) => file.replaceAll(path.sep, "/").replace(/\.ts$/, "");

function importsIn(file: string, text: string): string[] {
  const { importedFiles } = ts.preProcessFile(text);
  return importedFiles.map(({ fileName }) =>
    fileName.startsWith(".") ? nameOf(path.join(path.dirname(file), fileName)) : fileName,
  );
}

/** Where each floor may import from. */
const FLOORS: Record<string, readonly string[]> = {
  model: ["model"],
  view: ["view", "model"],
  main: ["view", "model"],
};
const floorOf = (module: string) => module.split("/")[0]!;

/** Imports that go up, or to no floor at all. */
function climbs(imports: Imports): string[] {
  return [...imports].flatMap(([module, imported]) => {
    const below = FLOORS[floorOf(module)] ?? [];
    return imported
      .filter((other) => imports.has(other) && !below.includes(floorOf(other)))
      .map((other) => `${module} -> ${other}`);
  });
}

/** Modules on a way that comes back to its start; empty: there is none. */
function circle(imports: Imports): string[] {
  const done = new Set<string>();
  const visit = (module: string, way: readonly string[]): string[] => {
    if (way.includes(module)) return [...way.slice(way.indexOf(module)), module];
    if (done.has(module)) return [];
    done.add(module);
    for (const other of imports.get(module) ?? []) {
      const found = visit(other, [...way, module]);
      if (found.length > 0) return found;
    }
    return [];
  };
  for (const module of imports.keys()) {
    const found = visit(module, []);
    if (found.length > 0) return found;
  }
  return [];
}

const page = importsOf(SOURCE);

it("has a model and a view, wired in main", () => {
  expect([...new Set([...page.keys()].map(floorOf))].sort()).toEqual(["main", "model", "view"]);
  expect(page.get("main")).toContain("view/lightbox");
  expect(page.get("view/pane")).toContain("model/reading"); // a type import is one too
});

it("imports downwards alone", () => expect(climbs(page)).toEqual([]));

it("has no circle", () => expect(circle(page)).toEqual([]));

it("keeps what draws out of the model", () => {
  const packages = [...page]
    .filter(([module]) => floorOf(module) === "model")
    .flatMap(([, imported]) => imported.filter((other) => !page.has(other)));
  expect([...new Set(packages)]).toEqual([]);
});

it.each([
  [["model/a", "view/b"], ["model/a -> view/b"]],
  [["view/a", "main"], ["view/a -> main"]],
  [["view/a", "model/b"], []],
] as const)("sees what climbs: %j", ([from, to], found) => {
  expect(
    climbs(
      new Map([
        [from, [to]],
        [to, []],
      ]),
    ),
  ).toEqual(found);
});

it.each([
  [{ a: ["a"] }, ["a", "a"]],
  [{ a: ["b"], b: ["c"], c: ["b"] }, ["b", "c", "b"]],
  [{ a: ["b", "c"], b: ["d"], c: ["d"], d: [] }, []],
])("sees a circle: %j", (imports, found) => expect(circle(new Map(Object.entries(imports)))).toEqual(found));
