/** The built program with its embedded Postgres, as a process on a data directory of the test's own. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from '@jest/globals';

export type Program = ChildProcess & { output: () => string };

const started: Program[] = [];

/** The program as `npm start` runs it, with what it printed so far. */
export function startProgram(dataDir: string, env: Record<string, string> = {}, args: readonly string[] = []): Program {
  const settings = { DATABASE_URL: '', ADMIN_TOKEN: '', EMBEDDED_DATA_DIR: dataDir, PORT: '0', NODE_OPTIONS: '', ...env };
  const child = spawn(process.execPath, ['dist/server.js', ...args], {
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
  const program = Object.assign(child, { output: () => output });
  started.push(program);
  return program;
}

export async function stopProgram(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

export async function stopPrograms(): Promise<void> {
  await Promise.all(started.map((child) => stopProgram(child)));
}

export async function untilGreeted(child: Program): Promise<{ address: string; token: string }> {
  for (;;) {
    const [, address] = /onsale is on (\S+),/.exec(child.output()) ?? [];
    const [, token] = /admin token is (\S+)/.exec(child.output()) ?? [];
    if (address !== undefined && token !== undefined) return { address, token };
    if (child.exitCode !== null) throw new Error(`it ended: ${child.output()}`);
    await pause(50);
  }
}

/** @returns what it said before it failed */
export async function failure(child: Program): Promise<string> {
  await once(child, 'close');
  expect(child.exitCode).toBe(1);
  return child.output().trim();
}

/** Starts and stops once, so that there is a cluster. */
export async function startAndStop(dataDir: string, env: Record<string, string> = {}): Promise<{ token: string; output: string }> {
  const program = startProgram(dataDir, env);
  const { token } = await untilGreeted(program);
  await stopProgram(program);
  expect(program.exitCode).toBe(0);
  return { token, output: program.output() };
}

/** As it says in the directory's own files. */
export async function embeddedUrl(dataDir: string, database = 'postgres'): Promise<string> {
  const [, , , port] = (await readFile(join(dataDir, 'cluster', 'postmaster.pid'), 'utf8')).split('\n');
  const password = (await readFile(join(dataDir, 'postgres-password'), 'utf8')).trim();
  return `postgresql://onsale:${password}@127.0.0.1:${String(port)}/${database}`;
}

/** The command lines of every process that was started for the directory: initdb, Postgres, pg_ctl. */
export function processesOf(dataDir: string): string[] {
  return commands().filter((command) => command.includes(dataDir));
}

function commands(): string[] {
  if (!existsSync('/proc/self/cmdline')) return spawnSync('ps', ['-A', '-ww', '-o', 'args='], { encoding: 'utf8' }).stdout.split('\n');
  return readdirSync('/proc').flatMap((pid) => {
    try {
      return /^\d+$/.test(pid) ? [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')] : [];
    } catch {
      return []; // it ended meanwhile
    }
  });
}

/** Waits for a condition, with a deadline that only a failure meets. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 25_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`${what}: it did not come to that`);
    await pause(10);
  }
}
