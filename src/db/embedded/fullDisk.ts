/** A full disk shows itself in many ways, and Postgres cannot log it on the same disk; so after a failure the disk is asked. */
import { statfsSync } from 'node:fs';
import { EmbeddedError } from './account.js';

/** A cluster takes 40 MB and a segment of its WAL 16 MiB. Postgres needs room for at least one more segment. */
const leastBytes = 17_000_000;

/** @returns the error of a full disk if the disk is full, or else the error that it was given */
export function orFullDisk(error: unknown, dataDir: string): unknown {
  if (error instanceof Error && error.name === 'Interrupted') return error;
  try {
    const { bavail, blocks, bsize, ffree, files } = statfsSync(dataDir);
    const isDisk = blocks > 0; // /proc has no blocks
    const isFull = isDisk && (bavail * bsize < leastBytes || (files > 0 && ffree === 0));
    const room = `${String(Math.floor((bavail * bsize) / 1_000_000))} MB`;
    if (isFull || isNoSpace(error)) {
      return new EmbeddedError(
        `The disk of ${dataDir} is full: Postgres needs at least 100 MB and ${room} are free; make room there, or choose another directory with EMBEDDED_DATA_DIR.`,
      );
    }
  } catch {
    // The directory cannot be asked, which the error itself explains better.
  }
  return error;
}

function isNoSpace(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return ['ENOSPC', 'EDQUOT', '53100'].includes(String(code)) || /No space left on device|Disk quota exceeded/.test(String(message));
}
