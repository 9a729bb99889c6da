/** The patient's name, read in the browser from the file that the reader dropped. It is shown, never sent or kept. */
import { parseDicom } from "dicom-parser";

const HEADER_BYTES = 512 << 10;
const PATIENT_NAME = "x00100010";
const CHARACTER_SET = "x00080005";
/** DICOM's names of single-byte and Unicode character sets, and the web's. */
const ENCODINGS: Record<string, string> = {
  "": "windows-1252",
  "ISO_IR 6": "windows-1252",
  "ISO_IR 100": "windows-1252",
  "ISO_IR 101": "iso-8859-2",
  "ISO_IR 109": "iso-8859-3",
  "ISO_IR 110": "iso-8859-4",
  "ISO_IR 126": "iso-8859-7",
  "ISO_IR 127": "iso-8859-6",
  "ISO_IR 138": "iso-8859-8",
  "ISO_IR 144": "iso-8859-5",
  "ISO_IR 166": "windows-874",
  "ISO_IR 192": "utf-8",
  GB18030: "gb18030",
};

/** The name in a file's header; null: it is no DICOM file, or has none. */
export async function patientName(file: File): Promise<string | null> {
  try {
    const bytes = new Uint8Array(await file.slice(0, HEADER_BYTES).arrayBuffer());
    const header = parseDicom(bytes, { untilTag: "x00100020" });
    const element = header.elements[PATIENT_NAME];
    if (!element) return null;
    const set = (header.string(CHARACTER_SET) ?? "").split("\\")[0]!.trim();
    const raw = bytes.slice(element.dataOffset, element.dataOffset + element.length);
    return readable(new TextDecoder(ENCODINGS[set] ?? "windows-1252").decode(raw)) || null;
  } catch {
    return null;
  }
}

/** DICOM's "family^given^middle^prefix^suffix" as people write it. */
export function readable(name: string): string {
  const first = name.replace(/\0/g, "").split("=")[0]!;
  const [family = "", ...given] = first.split("^").map((part) => part.trim());
  const rest = given.filter(Boolean).join(" ");
  return rest ? `${family}, ${rest}` : family;
}
