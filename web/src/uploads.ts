/** What a reader drops or chooses: files, folders, ZIP archives. */

const IMAGE_NAMES = /\.(dcm|dicom|ima|png|jpe?g|tiff?|zip)$/i;
const FIRST_BYTES = 132;

/** Files of a drop, those of dropped folders too. */
export async function droppedFiles(data: DataTransfer): Promise<File[]> {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (entries.length === 0) return [...data.files];
  const found: File[] = [];
  for (const entry of entries) {
    if (entry.isFile) found.push(await fileOf(entry as FileSystemFileEntry));
    else found.push(...(await imagesIn(await filesBelow(entry as FileSystemDirectoryEntry))));
  }
  return found;
}

/** Of a folder's files those that may be images: by their name, or by DICOM's mark. */
export async function imagesIn(files: readonly File[]): Promise<File[]> {
  const kept = await Promise.all(files.map(async (file) => (await mayBeImage(file)) ? file : null));
  return kept.filter((file) => file !== null);
}

async function mayBeImage(file: File): Promise<boolean> {
  if (file.name.startsWith(".") || file.name.toUpperCase() === "DICOMDIR") return false;
  if (IMAGE_NAMES.test(file.name)) return !/\.(overlay|preprocessed)\.png$/i.test(file.name);
  const head = new Uint8Array(await file.slice(0, FIRST_BYTES).arrayBuffer());
  return String.fromCharCode(...head.slice(128)) === "DICM";
}

const fileOf = (entry: FileSystemFileEntry) => new Promise<File>((resolve, reject) => entry.file(resolve, reject));

async function filesBelow(folder: FileSystemDirectoryEntry): Promise<File[]> {
  const reader = folder.createReader();
  const found: File[] = [];
  for (;;) {
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return found;
    for (const entry of entries) {
      if (entry.isFile) found.push(await fileOf(entry as FileSystemFileEntry));
      else found.push(...(await filesBelow(entry as FileSystemDirectoryEntry)));
    }
  }
}

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
