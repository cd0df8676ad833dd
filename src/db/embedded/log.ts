/**
 * Postgres's log: one file, and another with its content before the last truncation.
 *
 * Postgres's own logging collector cannot bound the log: it truncates files only by time, and in between a file grows without
 * limit. Here Postgres appends to a file that the API also has open, and truncates when it is too large. So Postgres never waits
 * for the API, as it would if it wrote to a pipe.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { logFiles } from './dataDir.js';

/** The limit of each of the two files. A week of checkpoints takes about 100 KiB. */
const logBytesMax = 8 * 1_024 * 1_024;
/** Between two checks the log may exceed its limit. */
const checkEveryMs = 1_000;
/** An error during the start is among the last lines. */
const tailBytesMax = 64 * 1_024;

export interface ServerLog {
  readonly path: string;
  /** The descriptor that Postgres appends to. */
  readonly fd: number;
  /** The error that ended the server, or else the last line since the log was opened. */
  lastLine(): Promise<string>;
  /** The last line of the log, whatever it says. */
  tail(): Promise<string>;
  /** Stops bounding the log and closes the API's descriptor. */
  close(): Promise<void>;
}

/** Opens the log and keeps it bounded. Only the API can change the directory; even so, no symlink in it is followed. */
export async function openLog(dataDir: string): Promise<ServerLog> {
  const path = join(dataDir, logFiles.current);
  const { O_APPEND, O_CREAT, O_NOFOLLOW, O_RDWR, O_TRUNC } = constants;
  const file = await open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600);

  const shorten = async () => {
    const { size } = await file.stat();
    if (size <= logBytesMax) return;
    const kept = await open(join(dataDir, logFiles.previous), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
    try {
      await kept.writeFile(await read(file, size - logBytesMax, size));
    } finally {
      await kept.close();
    }
    await file.truncate(0);
  };

  await shorten();
  const { size: startsAt } = await file.stat();
  let shortening: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    shortening = shortening.then(shorten).catch(() => undefined); // for example a full disk; the next check tries again
  }, checkEveryMs);
  timer.unref();

  return {
    path,
    fd: file.fd,
    lastLine: async () => {
      const lines = await linesOf(file, startsAt);
      return printable(lines.findLast((text) => /FATAL|PANIC/.test(text)) ?? lines.at(-1));
    },
    tail: async () => printable((await linesOf(file, startsAt)).at(-1)),
    close: async () => {
      clearInterval(timer);
      await shortening;
      await file.close();
    },
  };
}

/** @param startsAt where this run's part of the log began, unless it was truncated since */
async function linesOf(file: FileHandle, startsAt: number): Promise<string[]> {
  const { size } = await file.stat();
  const from = Math.max(size - tailBytesMax, size < startsAt ? 0 : startsAt);
  return (await read(file, from, size)).toString('utf8').trim().split('\n');
}

function printable(line = ''): string {
  return line === '' ? 'its log is empty' : line.replaceAll(/\p{Cc}/gu, ' ');
}

async function read(file: FileHandle, from: number, to: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(to - from), 0, to - from, from);
  return buffer.subarray(0, bytesRead);
}
