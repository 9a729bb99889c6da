/** What a reader drops or chooses: files, folders, ZIP archives, and readings that were saved. */

const IMAGE_NAMES = /\.(dcm|dicom|ima|png|jpe?g|tiff?|zip)$/i;
const FIRST_BYTES = 132;
const SAVED_READING = /^\s*\{\s*"format":\s*"mammoscope-reading"/;

export const isJson = (file: File) => /\.json$/i.test(file.name);

/** Of a folder's files those that may be images, by their name or by DICOM's mark, and saved readings. */
export async function imagesIn(files: readonly File[]): Promise<File[]> {
  const inOrder = [...files].sort((a, b) => byName(a.webkitRelativePath, b.webkitRelativePath));
  const kept = await Promise.all(inOrder.map(async (file) => ((await isWanted(file)) ? file : null)));
  return kept.filter((file) => file !== null);
}

async function isWanted(file: File): Promise<boolean> {
  if (file.name.startsWith(".") || file.name.toUpperCase() === "DICOMDIR") return false;
  if (IMAGE_NAMES.test(file.name)) return !/\.(overlay|preprocessed)\.png$/i.test(file.name);
  const head = new Uint8Array(await file.slice(0, FIRST_BYTES).arrayBuffer());
  if (isJson(file)) return SAVED_READING.test(new TextDecoder().decode(head));
  return String.fromCharCode(...head.slice(128)) === "DICM";
}

/** "2.dcm" before "10.dcm". */
export const byName = new Intl.Collator("en", { numeric: true }).compare;

/** How far each of several files is, when so many bytes of all of them were sent. */
export function shares(sizes: readonly number[], sent: number, of: number): number[] {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  let left = of > 0 ? (sent / of) * total : 0;
  return sizes.map((size) => {
    const share = size === 0 ? 1 : Math.min(1, Math.max(0, left / size));
    left -= size;
    return share;
  });
}
