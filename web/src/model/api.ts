/** The server's API as the page uses it: /api/v1, errors are {"detail": "one sentence"}. */
import type { components, paths } from "./api_types";

type Schemas = components["schemas"];

export type Side = Schemas["Laterality"];
export type Point = Schemas["Drawn"]["outline"][number];
export type FrameChange = Schemas["FromOriginal"];
export type Spacing = Schemas["SpacingFacts"];
export type Preprocessed = Schemas["PreprocessedView"];
export type View = Schemas["View"];
export type ExamFile = Schemas["File"];
/** Whose exam it is, as its images state it; empty strings are not stated. */
export type Patient = Schemas["Patient"];
export type ExamStatus = Schemas["AnalysisStatus"];
/** What an upload became: an exam for each study of each patient that its files state. */
export type Created = Schemas["Created"];
export type Finding = Schemas["Finding"];
export type FindingKind = Schemas["FindingKind"];
export type Analysis = Schemas["Analysis"];
export type Validation = Schemas["Validation"];
export type Health = Schemas["Health"];
export type Judged = Schemas["Verdict"];
export type Verdict = Judged["verdict"];
export type Assessment = Schemas["Assessment"];
export type Drawn = Schemas["Drawn"];
export type ReadingRecord = Schemas["Record"];
export type Length = Schemas["Length"];
export type StoredReading = Schemas["StoredReading"];

type Path = keyof paths;
type Method = "get" | "post" | "put" | "delete";
/** The names in a path's braces. */
type Names<Template extends string> = Template extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Names<Rest>
  : never;
type Values<Template extends string> = Record<Names<Template>, string | number>;
/** What a path answers with where all is well. */
type Answer<Way extends Path, How extends Method> = paths[Way][How] extends { responses: infer Responses }
  ? Extract<
      Responses[keyof Responses & (200 | 202)],
      { content: { "application/json": unknown } }
    >["content"]["application/json"]
  : never;
type Query<Way extends Path> = paths[Way]["get"] extends { parameters: { query?: infer Query } } ? Query : never;
type Upload = NonNullable<paths["/api/v1/analyses"]["post"]["requestBody"]>["content"]["multipart/form-data"];

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** A path of the API with its braces filled. */
function at<Way extends Path>(template: Way, values: Values<Way>): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent((values as Record<string, string | number>)[name]!),
  );
}

async function ask(url: string, init?: RequestInit): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(url, init);
  } catch {
    throw new ApiError(0, "The server does not answer.");
  }
  if (!answer.ok) throw new ApiError(answer.status, detail(await answer.text(), answer.status));
  return answer;
}

function detail(body: string, status: number): string {
  try {
    const said: unknown = (JSON.parse(body) as Partial<Schemas["Problem"]> | null)?.detail;
    if (typeof said === "string") return said;
  } catch {
    // Not JSON: the status has to do.
  }
  return `The server answered ${status}.`;
}

async function json<Way extends Path, How extends "get" | "post">(
  method: How,
  template: Way,
  values: Values<Way>,
): Promise<Answer<Way, How>> {
  return (await (await ask(at(template, values), { method: method.toUpperCase() })).json()) as Answer<Way, How>;
}

const ANALYSES = "/api/v1/analyses";
const ANALYSIS = "/api/v1/analyses/{analysis}";
const READING = "/api/v1/analyses/{analysis}/reading";
const OVERLAY = "/api/v1/analyses/{analysis}/files/{number}/overlay";
const UPLOAD_FIELD: keyof Upload = "files";

export const health = (): Promise<Health> => json("get", "/api/v1/health", {});
export const exams = (): Promise<readonly ExamStatus[]> => json("get", ANALYSES, {});
export const exam = (id: string): Promise<ExamStatus> => json("get", ANALYSIS, { analysis: id });
export const result = (id: string): Promise<readonly Analysis[]> => json("get", `${ANALYSIS}/result`, { analysis: id });
export const fileResult = (id: string, file: number): Promise<Analysis> =>
  json("get", `${ANALYSIS}/files/{number}/result`, { analysis: id, number: file });
export const storedReading = (id: string): Promise<StoredReading> => json("get", READING, { analysis: id });
export const startExample = async () => (await json("post", `${ANALYSES}/example`, {})).id;
export const remove = async (id: string): Promise<void> => {
  await ask(at(ANALYSIS, { analysis: id }), { method: "DELETE" });
};

/** Row-major samples 0..65535 in frame `original`, brighter is denser. */
export async function originalPixels(id: string, file: number): Promise<Uint16Array<ArrayBuffer>> {
  return new Uint16Array(
    await (await ask(at(`${ANALYSIS}/files/{number}/original`, { analysis: id, number: file }))).arrayBuffer(),
  );
}

export async function preprocessedImage(id: string, file: number): Promise<Blob> {
  return (await ask(at(`${ANALYSIS}/files/{number}/preprocessed`, { analysis: id, number: file }))).blob();
}

export async function overlayPng(id: string, file: number, threshold: number): Promise<{ blob: Blob; name: string }> {
  const query = { threshold } satisfies Query<typeof OVERLAY>;
  const answer = await ask(`${at(OVERLAY, { analysis: id, number: file })}?threshold=${query.threshold}`);
  const named = /filename="?([\w.-]+)"?/.exec(answer.headers.get("Content-Disposition") ?? "");
  return { blob: await answer.blob(), name: named?.[1] ?? `overlay-${file + 1}.png` };
}

const made = (
  template: `${typeof ANALYSIS}/${"report" | "dicom"}`,
  id: string,
  record: ReadingRecord,
): Promise<Response> =>
  ask(at(template, { analysis: id }), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(record),
  });

export const reportPdf = async (id: string, record: ReadingRecord): Promise<Blob> =>
  (await made(`${ANALYSIS}/report`, id, record)).blob();

/** A ZIP archive of DICOM objects; `without` names the images that have none, counted from 1, empty where all have. */
export async function dicomResults(id: string, record: ReadingRecord): Promise<{ blob: Blob; without: string }> {
  const answer = await made(`${ANALYSIS}/dicom`, id, record);
  return { blob: await answer.blob(), without: answer.headers.get("Mammoscope-Without-Results") ?? "" };
}

/** Saves a reading that was made from the one of this revision; ApiError 409: another was saved since. */
export async function saveReading(id: string, revision: number, record: ReadingRecord): Promise<StoredReading> {
  const draft: Schemas["ReadingDraft"] = { revision, record };
  const init = { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify(draft) };
  return (await (await ask(at(READING, { analysis: id }), init)).json()) as Answer<typeof READING, "put">;
}

/** Sends files in one request; `sent` is told how many bytes of the whole are on their way. */
export function upload(files: readonly File[], sent: (bytes: number, of: number) => void): Promise<Created> {
  const form = new FormData();
  for (const file of files) form.append(UPLOAD_FIELD, file, file.webkitRelativePath || file.name);
  const request = new XMLHttpRequest();
  request.open("POST", at(ANALYSES, {}));
  request.upload.onprogress = (event) => sent(event.loaded, event.total);
  return new Promise((resolve, reject) => {
    request.onerror = () => reject(new ApiError(0, "The upload was cut off: the server does not answer."));
    request.onload = () => {
      if (request.status === 202) resolve(JSON.parse(request.responseText) as Answer<typeof ANALYSES, "post">);
      else reject(new ApiError(request.status, detail(request.responseText, request.status)));
    };
    request.send(form);
  });
}
