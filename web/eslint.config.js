import eslint from "@eslint/js";
import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

export default defineConfig(
  { ignores: ["src/model/api_types.ts"] }, // made from openapi.json
  eslint.configs.recommended,
  tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      // An index within bounds is asserted to be there (noUncheckedIndexedAccess).
      "@typescript-eslint/no-non-null-assertion": "off",
      // What is read from a file, or was set while something was awaited, may be other than its type says.
      "@typescript-eslint/no-unnecessary-condition": "off",
      // One implementation of what takes time may have its answer at once.
      "@typescript-eslint/require-await": "off",
      "@typescript-eslint/no-confusing-void-expression": "off",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
    },
  },
  {
    files: ["test/**"], // reads JSON as it is
    rules: Object.fromEntries(
      ["assignment", "argument", "call", "member-access", "return"].map((use) => [
        `@typescript-eslint/no-unsafe-${use}`,
        "off",
      ]),
    ),
  },
);
