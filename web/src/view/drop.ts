/** What is dropped on the page: files, and folders with all that is below them. */
import { byName, imagesIn } from "../model/uploads";

/** Takes drops anywhere on the page, and shows that it will. */
export function listenForDrops(take: (files: File[]) => void): void {
  let over = 0;
  const showTarget = (isOver: boolean) => document.body.classList.toggle("dropping", isOver);
  addEventListener("dragenter", (event) => {
    event.preventDefault();
    showTarget(++over > 0);
  });
  addEventListener("dragleave", () => showTarget(--over > 0));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    over = 0;
    showTarget(false);
    if (event.dataTransfer) void droppedFiles(event.dataTransfer).then(take);
  });
}

/** Files of a drop, those of dropped folders too. */
async function droppedFiles(data: DataTransfer): Promise<File[]> {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (entries.length === 0) return [...data.files];
  const found: File[] = [];
  for (const entry of entries) {
    if (entry.isFile) found.push(await fileOf(entry as FileSystemFileEntry));
    else found.push(...(await imagesIn(await filesBelow(entry as FileSystemDirectoryEntry))));
  }
  return found;
}

/** The file, with its path from the dropped folder on, as a chosen folder's files have it: the server needs it. */
const fileOf = async (entry: FileSystemFileEntry) => {
  const file = await new Promise<File>((resolve, reject) => entry.file(resolve, reject));
  return Object.defineProperty(file, "webkitRelativePath", { value: entry.fullPath.replace(/^\//, "") });
};

/** In the order of their names: the browser gives entries in any. */
async function filesBelow(folder: FileSystemDirectoryEntry): Promise<File[]> {
  const reader = folder.createReader();
  const entries: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) break;
    entries.push(...some);
  }
  const found: File[] = [];
  for (const entry of entries.sort((a, b) => byName(a.name, b.name))) {
    if (entry.isFile) found.push(await fileOf(entry as FileSystemFileEntry));
    else found.push(...(await filesBelow(entry as FileSystemDirectoryEntry)));
  }
  return found;
}
