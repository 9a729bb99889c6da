/** The server's API as the page uses it: /api/v1, errors are {"detail": "one sentence"}. */

export type Side = "LEFT" | "RIGHT";
export type Point = readonly [x: number, y: number];

/** x' = scale_x * x + shift_x, the same for y. */
export interface FrameChange {
  scale_x: number;
  shift_x: number;
  scale_y: number;
  shift_y: number;
}

export interface Spacing {
  row_mm: number;
  column_mm: number;
  source: string;
}

export interface Preprocessed {
  rows: number;
  columns: number;
  from_original: FrameChange;
}

export interface View {
  rows: number;
  columns: number;
  pixel_aspect: number;
  laterality: Side | null;
  view: string | null;
  spacing: Spacing | null;
  window: { center: number; width: number };
  preprocessed: Preprocessed | null;
  warnings: string[];
}

export interface ExamFile {
  number: number;
  name: string;
  state: "queued" | "reading" | "analysing" | "done" | "failed";
  progress: number;
  error: string | null;
  result: number | null;
  view: View | null;
}

export interface ExamStatus {
  id: string;
  created: string;
  state: "queued" | "running" | "done" | "failed";
  progress: number;
  files: ExamFile[];
}

export interface Finding {
  box: { x0: number; y0: number; x1: number; y1: number };
  outline: Point[];
  detection_score: number;
  malignancy_score: number;
  malignancy: "malignant" | "benign";
  size: { area_mm2: number | null; longest_diameter_mm: number | null; unknown_because: string | null };
}

export interface Analysis {
  schema_version: string;
  notice: string;
  software: string;
  outcome: "findings" | "no_finding" | "no_breast_found";
  statement: string;
  input: { sha256: string };
  bundle: { name: string; version: string; sha256: string };
  thresholds: { detection: number; malignancy: number };
  findings: Finding[];
  warnings: string[];
}

export interface Health {
  software: string;
  notice: string;
  bundle: { name: string; version: string; sha256: string };
  thresholds: { detection: number; malignancy: number };
  floor: number;
  limits: { bytes: number; files: number; pixels: number };
}

export type Verdict = "accepted" | "rejected";

export interface ReadingRecord {
  threshold: number;
  impression: string;
  verdicts: { file: number; finding: number; verdict: Verdict }[];
  drawn: { file: number; outline: Point[] }[];
}

const ROOT = "/api/v1";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

async function ask(path: string, init?: RequestInit): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(ROOT + path, init);
  } catch {
    throw new ApiError(0, "The server does not answer.");
  }
  if (!answer.ok) throw new ApiError(answer.status, detail(await answer.text(), answer.status));
  return answer;
}

function detail(body: string, status: number): string {
  try {
    const said: unknown = (JSON.parse(body) as { detail?: unknown }).detail;
    if (typeof said === "string") return said;
  } catch {
    // Not JSON: the status has to do.
  }
  return `The server answered ${status}.`;
}

async function json<T>(path: string, init?: RequestInit): Promise<T> {
  return (await (await ask(path, init)).json()) as T;
}

export const health = () => json<Health>("/health");
export const exams = () => json<ExamStatus[]>("/analyses");
export const exam = (id: string) => json<ExamStatus>(`/analyses/${id}`);
export const result = (id: string) => json<Analysis[]>(`/analyses/${id}/result`);
export const startExample = async () => (await json<{ id: string }>("/analyses/example", { method: "POST" })).id;
export const remove = async (id: string) => void (await ask(`/analyses/${id}`, { method: "DELETE" }));

/** Row-major samples 0..65535 in frame `original`, brighter is denser. */
export async function originalPixels(id: string, file: number): Promise<Uint16Array<ArrayBuffer>> {
  return new Uint16Array(await (await ask(`/analyses/${id}/files/${file}/original`)).arrayBuffer());
}

export async function preprocessedImage(id: string, file: number): Promise<Blob> {
  return (await ask(`/analyses/${id}/files/${file}/preprocessed`)).blob();
}

export async function overlayPng(id: string, file: number, threshold: number): Promise<{ blob: Blob; name: string }> {
  const answer = await ask(`/analyses/${id}/files/${file}/overlay?threshold=${threshold}`);
  const named = /filename="?([\w.-]+)"?/.exec(answer.headers.get("Content-Disposition") ?? "");
  return { blob: await answer.blob(), name: named?.[1] ?? `overlay-${file + 1}.png` };
}

export async function reportPdf(id: string, record: ReadingRecord): Promise<Blob> {
  const headers = { "Content-Type": "application/json" };
  return (await ask(`/analyses/${id}/report`, { method: "POST", headers, body: JSON.stringify(record) })).blob();
}

/** Sends files in one request; `sent` is told how many bytes of the whole are on their way. */
export function upload(files: readonly File[], sent: (bytes: number, of: number) => void): Promise<string> {
  const form = new FormData();
  for (const file of files) form.append("files", file, file.name);
  const request = new XMLHttpRequest();
  request.open("POST", `${ROOT}/analyses`);
  request.upload.onprogress = (event) => sent(event.loaded, event.total);
  return new Promise((resolve, reject) => {
    request.onerror = () => reject(new ApiError(0, "The upload was cut off: the server does not answer."));
    request.onload = () => {
      if (request.status === 202) resolve((JSON.parse(request.responseText) as { id: string }).id);
      else reject(new ApiError(request.status, detail(request.responseText, request.status)));
    };
    request.send(form);
  });
}
