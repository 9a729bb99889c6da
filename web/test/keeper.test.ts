import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError, type ExamStatus, type ReadingRecord, type StoredReading } from "../src/model/api";
import { Keeper, type Store } from "../src/model/keeper";
import { Reading } from "../src/model/reading";

/** A server in memory, with the same optimistic lock. */
class Server implements Store {
  stored: StoredReading = { revision: 0, saved: null, record: null };
  fails: number | null = null;
  saves = 0;

  async save(_exam: string, revision: number, record: ReadingRecord): Promise<StoredReading> {
    this.saves++;
    if (this.fails !== null) throw new ApiError(this.fails, "no");
    if (revision !== this.stored.revision) throw new ApiError(409, "another");
    return (this.stored = { revision: revision + 1, saved: "2026-01-31T12:00:00Z", record });
  }

  async load(): Promise<StoredReading> {
    return this.stored;
  }
}

function tab(server: Server, exam = "1"): { reading: Reading; keeper: Keeper } {
  const reading = new Reading();
  const keeper = new Keeper(reading, server);
  reading.open({
    id: exam,
    created: "",
    state: "done",
    progress: 1,
    files: [],
    is_vouched: false,
    warnings: [],
  } as unknown as ExamStatus);
  reading.adopt(server.stored);
  return { reading, keeper };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("a reading", () => {
  it("is saved a moment after the last of several changes, and called saved only then", async () => {
    const server = new Server();
    const { reading, keeper } = tab(server);
    reading.reader = "Dr. A";
    reading.write("as");
    await vi.advanceTimersByTimeAsync(300);
    reading.write("as before");
    expect([keeper.state, reading.isUnsaved, server.saves]).toEqual(["waiting", true, 0]);
    await vi.advanceTimersByTimeAsync(600);
    expect([keeper.state, reading.isUnsaved, server.saves, reading.revision]).toEqual(["kept", false, 1, 1]);
    expect(server.stored.record).toMatchObject({ impression: "as before", reader: "Dr. A" });
    const again = tab(server).reading;
    expect([again.impression, again.isUnsaved, again.savedBy, again.saved]).toEqual([
      "as before",
      false,
      "Dr. A",
      "2026-01-31T12:00:00Z",
    ]);
  });

  it("stays unsaved while the server is away, and is saved when it is back", async () => {
    const server = new Server();
    const { reading, keeper } = tab(server);
    server.fails = 0;
    reading.addDrawn(0, [
      [1, 1],
      [2, 2],
      [3, 1],
    ]);
    expect(await keeper.flush()).toBe(false);
    expect([keeper.state, reading.isUnsaved]).toEqual(["away", true]);
    server.fails = null;
    await vi.advanceTimersByTimeAsync(2500);
    expect([keeper.state, reading.isUnsaved, server.stored.record?.drawn?.length]).toEqual(["kept", false, 1]);
  });

  it("that the server refuses is not called saved, and a change is tried again", async () => {
    const server = new Server();
    const { reading, keeper } = tab(server);
    server.fails = 422;
    reading.write("x");
    expect(await keeper.flush()).toBe(false);
    expect([keeper.state, keeper.problem, reading.isUnsaved]).toEqual(["refused", "no", true]);
    server.fails = null;
    reading.write("y");
    await vi.advanceTimersByTimeAsync(600);
    expect(keeper.state).toBe("kept");
  });

  it("that the reader saved in a file may be left, but is sent all the same", async () => {
    const server = new Server();
    const { reading } = tab(server);
    reading.addLength(0, [0, 0], [3, 4]);
    reading.keep(reading.version);
    expect([reading.isUnsaved, server.saves]).toEqual([false, 0]);
    await vi.advanceTimersByTimeAsync(600);
    expect(server.stored.record?.lengths).toEqual([
      {
        file: 0,
        ends: [
          [0, 0],
          [3, 4],
        ],
      },
    ]);
    reading.removeLastLength(1);
    reading.removeLastLength(0);
    await vi.advanceTimersByTimeAsync(600);
    expect(server.stored.record?.lengths).toEqual([]);
  });
});

describe("two tabs", () => {
  async function overtaken() {
    const server = new Server();
    const [first, second] = [tab(server), tab(server)];
    first.reading.write("first");
    await first.keeper.flush();
    second.reading.write("second");
    expect(await second.keeper.flush()).toBe(false);
    expect([second.keeper.state, server.stored.record?.impression]).toEqual(["overtaken", "first"]);
    return { server, first, second };
  }

  it("do not overwrite each other: the second may take the reading of the first", async () => {
    const { second } = await overtaken();
    second.reading.write("second, longer");
    await vi.advanceTimersByTimeAsync(5000);
    expect(second.keeper.state).toBe("overtaken");
    await second.keeper.takeTheirs();
    expect([second.reading.impression, second.reading.isUnsaved, second.keeper.state]).toEqual([
      "first",
      false,
      "kept",
    ]);
  });

  it("do not overwrite each other: the second may put its own in the place of the first", async () => {
    const { server, first, second } = await overtaken();
    await second.keeper.keepMine();
    expect([server.stored.record?.impression, server.stored.revision]).toEqual(["second", 2]);
    await first.keeper.refresh();
    expect(first.reading.impression).toBe("second");
  });

  it("a tab with unsaved work takes nothing unasked", async () => {
    const server = new Server();
    const [first, second] = [tab(server), tab(server)];
    first.reading.write("first");
    await first.keeper.flush();
    second.reading.write("second");
    await second.keeper.refresh();
    expect(second.reading.impression).toBe("second");
  });
});

it("the next exam gets nothing of the last, and the reader signs his own work alone", async () => {
  const server = new Server();
  const { reading, keeper } = tab(server);
  reading.reader = "Dr. B";
  reading.adopt({
    revision: 3,
    saved: "x",
    record: {
      threshold: 0.5,
      impression: "old",
      verdicts: [],
      drawn: [],
      lengths: [],
      assessments: [],
      reader: "Dr. A",
      one_woman: false,
    },
  });
  server.stored = { revision: 3, saved: "x", record: null };
  expect(reading.record.reader).toBe("Dr. A");
  reading.write("new");
  expect(reading.record.reader).toBe("Dr. B");
  await keeper.flush();
  reading.open({
    id: "2",
    created: "",
    state: "done",
    progress: 1,
    files: [],
    is_vouched: false,
    warnings: [],
  } as unknown as ExamStatus);
  await vi.advanceTimersByTimeAsync(5000);
  expect([reading.impression, reading.revision, reading.isUnsaved, server.saves]).toEqual(["", 0, false, 1]);
});
