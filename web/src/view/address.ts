/** The page's address: which exam is open stands behind its hash, so that a reload and the browser's Back find it. */
import type { Address } from "../model/session";

const EXAM = /^#exam=([0-9a-f]{32})$/;

export const pageAddress: Address = {
  get exam() {
    return EXAM.exec(location.hash)?.[1] ?? null;
  },
  go: (exam) => {
    location.hash = `exam=${exam}`;
  },
  put: (exam) => history.replaceState(null, "", exam === null ? location.pathname : `#exam=${exam}`),
  on: (listener) => addEventListener("hashchange", listener),
};
