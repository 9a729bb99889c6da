import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Cornerstone's core brings readers of meshes, and they an XML library for Node: nothing that a mammogram needs. */
const withoutMeshReaders: Plugin = {
  name: "without-mesh-readers",
  enforce: "pre",
  resolveId: (source) => (source.startsWith("@kitware/vtk.js/IO/") ? "\0unused" : null),
  load: (id) => (id === "\0unused" ? "export default null;" : null),
};

// The page is served by the Python package from /, its parts from /assets; it needs no other path.
/** What the bundled packages ask for: their licences, beside the code. */
const licences: Plugin = {
  name: "licences",
  generateBundle(_options, bundle) {
    const folders = new Set<string>();
    for (const part of Object.values(bundle)) {
      if (part.type !== "chunk") continue;
      for (const id of part.moduleIds) {
        const inPackage = /^(?:\0)?(.*\/node_modules\/(?:@[^/]+\/)?[^/?]+)\//.exec(id)?.[1];
        if (inPackage) folders.add(inPackage);
      }
    }
    const texts = [...folders].sort().map((folder) => {
      const { name, version, license } = JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8")) as Record<
        string,
        unknown
      >;
      const file = readdirSync(folder)
        .sort()
        .find((each) => /^licen[cs]e/i.test(each));
      const text =
        file && existsSync(path.join(folder, file)) ? readFileSync(path.join(folder, file), "utf8").trim() : "";
      return `${String(name)} ${String(version)}: ${String(license)}\n\n${text}\n`;
    });
    this.emitFile({ type: "asset", fileName: "assets/licences.txt", source: texts.join(`\n${"-".repeat(80)}\n\n`) });
  },
};

export default defineConfig({
  base: "/",
  plugins: [withoutMeshReaders, licences],
  build: {
    outDir: "../src/mammoscope/server/page",
    emptyOutDir: true,
    target: "es2022",
    sourcemap: false,
    modulePreload: false,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 4000,
    rollupOptions: {
      output: {
        entryFileNames: "assets/page.js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
      },
    },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8765" } },
  test: { include: ["test/**/*.test.ts"], environment: "node" },
});
