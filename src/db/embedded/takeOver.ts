/**
 * Handles what an earlier run may have left in the cluster: a server that outlived its API, or the lock file of a crashed server.
 *
 * The account that runs Postgres can forge everything in the cluster. Root therefore reads the lock file only as a regular file,
 * and leaves signalling the process named in it to pg_ctl, which runs as the account.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { EmbeddedError, type Place, runAs } from './account.js';
import { connect, inUse, takeInstanceLock, urlOf } from './instanceLock.js';
import { readPlainFile } from './ownership.js';
import { runTool } from './process.js';

const stopTimeoutMs = 30_000;
/** For the query whether the lock is free, because the process that listens on the port need not be Postgres. */
const answerTimeoutMs = 5_000;
/** A server that is starting or stopping reports it, and is waited for. */
const changeTimeoutMs = 60_000;
/** A starting server creates its lock file and fills it a moment later. */
const fillTimeoutMs = 2_000;
const checkEveryMs = 50;
const lockFileBytesMax = 4_096;
const cannotConnectNow = '57P03';

/** Stops a server that outlived the API that started it. @throws EmbeddedError if its API is still running, or the signal's reason */
export async function takeOver(place: Place, password: string, signal?: AbortSignal): Promise<void> {
  const cluster = join(place.dataDir, 'cluster');
  await removeDamagedLockFile(cluster, signal);
  const client = await connectToServerOf(cluster, password, signal);
  if (!client) return; // no server is running, and Postgres itself recovers from a crash
  const orphaned = await takeInstanceLock(client).catch((error: unknown) => {
    throw new EmbeddedError(`The server running on ${place.dataDir} does not answer: ${(error as Error).message}.`);
  });
  await client.end();
  if (!orphaned) throw inUse(place.dataDir);
  const stop = ['stop', '--pgdata', cluster, '--mode', 'fast', '--timeout', String(stopTimeoutMs / 1_000)];
  const failure = await runTool(join(place.binaries, 'pg_ctl'), stop, { ...runAs(place.account), cwd: cluster }, signal);
  signal?.throwIfAborted();
  if (failure !== undefined) throw new EmbeddedError(`A crash left Postgres running, and it does not stop: ${failure}`);
}

/**
 * A power failure can leave a lock file without a process id, and Postgres refuses to start with it. Removing it is safe even if
 * its server is still running: Postgres also checks whether processes are attached to the directory's shared memory, and then
 * does not start. A server whose lock file is damaged exits by itself within a minute.
 */
async function removeDamagedLockFile(cluster: string, signal: AbortSignal | undefined): Promise<void> {
  const deadline = Date.now() + fillTimeoutMs;
  for (;;) {
    signal?.throwIfAborted();
    const file = readLockFile(cluster);
    if (!file || file.pid !== undefined) return;
    if (Date.now() > deadline) {
      rmSync(join(cluster, 'postmaster.pid'), { force: true });
      return;
    }
    await pause(checkEveryMs);
  }
}

async function connectToServerOf(cluster: string, password: string, signal: AbortSignal | undefined): Promise<pg.Client | undefined> {
  const deadline = Date.now() + changeTimeoutMs;
  for (;;) {
    signal?.throwIfAborted();
    const port = readLockFile(cluster)?.port;
    if (port === undefined) return undefined;
    try {
      return await connect(urlOf(port, password, 'postgres'), answerTimeoutMs);
    } catch (error) {
      if ((error as { code?: string }).code !== cannotConnectNow || Date.now() > deadline) return undefined;
    }
    await pause(checkEveryMs);
  }
}

interface LockFile {
  /** Undefined if Postgres would find none either. */
  readonly pid: number | undefined;
  readonly port: number | undefined;
}

/** @returns undefined if there is none @throws EmbeddedError if it cannot be read */
function readLockFile(cluster: string): LockFile | undefined {
  const file = readPlainFile(join(cluster, 'postmaster.pid'), lockFileBytesMax);
  if (!file) return undefined;
  const [pidLine = '', , , portLine = ''] = file.text.split('\n');
  const pid = Number.parseInt(pidLine, 10); // as lenient as Postgres; negative in single-user mode
  const port = Number(portLine);
  return {
    pid: pid !== 0 && Math.abs(pid) < 2 ** 31 ? pid : undefined,
    port: Number.isInteger(port) && port > 0 && port < 2 ** 16 ? port : undefined,
  };
}
