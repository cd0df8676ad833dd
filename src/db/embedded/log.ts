/**
 * Postgres's log: one file, and one more with what it held before it was emptied.
 *
 * Postgres's own logging collector cannot bound it: it empties files by time only, and between two times a file grows
 * without limit. Here Postgres appends to a file that the API has open too and empties when it has grown, so nothing that
 * Postgres does ever waits for the API, as it would for the reader of a pipe.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { logFiles } from './dataDir.js';

/** Of each of the two files. A week of checkpoints takes some 100 KiB. */
const logBytesMax = 8 * 1_024 * 1_024;
/** In between the log may grow past its limit. */
const lookEveryMs = 1_000;
/** An error at the start is among the last lines. */
const tailBytesMax = 64 * 1_024;

export interface ServerLog {
  readonly path: string;
  /** For Postgres to append to. */
  readonly fd: number;
  /** The error that it ended with, or what else it said last since the log was opened. */
  lastLine(): Promise<string>;
  /** Leaves the log to Postgres. */
  close(): Promise<void>;
}

/** Opens the log and keeps it short from then on. The directory is ours alone; even so, no link is followed in it. */
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
    shortening = shortening.then(shorten).catch(() => undefined); // a full disk, for instance; looked at again
  }, lookEveryMs);
  timer.unref();

  return {
    path,
    fd: file.fd,
    lastLine: async () => {
      const { size } = await file.stat();
      const from = Math.max(size - tailBytesMax, size < startsAt ? 0 : startsAt);
      const lines = (await read(file, from, size)).toString('utf8').trim().split('\n');
      const line = lines.findLast((text) => /FATAL|PANIC/.test(text)) ?? lines.at(-1) ?? '';
      return line === '' ? 'it said nothing' : line.replaceAll(/\p{Cc}/gu, ' ');
    },
    close: async () => {
      clearInterval(timer);
      await shortening;
      await file.close();
    },
  };
}

async function read(file: FileHandle, from: number, to: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(to - from), 0, to - from, from);
  return buffer.subarray(0, bytesRead);
}
