/**
 * Goal: the log of the embedded Postgres says why it did not start, holds no secret of a buyer, and does not fill the disk.
 * Method: servers of this file's own, made to complain.
 */
import { appendFileSync, statSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { startEmbedded } from '../../src/db/embedded/embedded.js';
import { until } from '../support/program.js';

const mebibyte = 1_024 * 1_024;
const key = 'the-secret-key-of-a-buyer';
const settings = { fsync: 'off', shared_buffers: '16MB' };
let dataDir: string;
const log = () => join(dataDir, 'postgres.log');
const previousLog = () => join(dataDir, 'postgres.log.1');
const sizeOf = (path: string) => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'onsale-log-'));
});
afterAll(async () => {
  await rm(dataDir, { recursive: true });
});

async function withServer(work: (client: pg.Client, url: string) => Promise<void>): Promise<void> {
  const server = await startEmbedded({ dataDir, settings });
  const client = new pg.Client({ connectionString: server.url });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await work(client, server.url);
  } finally {
    await client.end();
    await server.stop();
  }
}

/** A server that is asked to stop in the moment in which it starts afresh may not hear it, and is ended half a minute later. */
async function untilRecovered(url: string): Promise<void> {
  for (;;) {
    const client = new pg.Client({ connectionString: url });
    const connected = await client.connect().then(
      () => true,
      () => false,
    );
    await client.end();
    if (connected) return;
    await pause(50);
  }
}

test('neither keys nor statements are logged, of a violation, a wait for a lock, or a process that was killed', async () => {
  await withServer(async (client, url) => {
    await client.query(`CREATE TABLE keys (key text UNIQUE); INSERT INTO keys VALUES ('${key}')`);
    await expect(client.query(`INSERT INTO keys VALUES ('${key}') -- ${key}`)).rejects.toMatchObject({ code: '23505' });
    await expect(client.query('INSERT INTO keys VALUES ($1)', [key])).rejects.toMatchObject({ code: '23505' });
    const holder = new pg.Client({ connectionString: url });
    await holder.connect();
    await holder.query('BEGIN; DELETE FROM keys');
    await client.query(`SET lock_timeout = '50ms'`);
    await expect(client.query(`SELECT FROM keys WHERE key = '${key}' FOR UPDATE`)).rejects.toMatchObject({ code: '55P03' });
    await holder.end();
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const killed = client.query(`SELECT pg_sleep(60) -- ${key}`);
    process.kill(rows[0]!.pid, 'SIGKILL');
    await expect(killed).rejects.toThrow();
    await untilRecovered(url);
  });
  const text = await readFile(log(), 'utf8');
  expect(text).toContain('duplicate key value violates unique constraint "keys_key_key"');
  expect(text).toContain('was terminated by signal 9');
  expect(text).not.toContain(key);
  expect(text).not.toMatch(/INSERT|SELECT|STATEMENT/);
});

test('the log is bounded while the server runs', async () => {
  await withServer(async (client) => {
    await client.query(`DO $$ BEGIN FOR i IN 1..120000 LOOP RAISE WARNING '%', repeat('x', 200); END LOOP; END $$`);
    await until(() => sizeOf(log()) <= 8 * mebibyte, 'a short log');
    expect(sizeOf(previousLog())).toBe(8 * mebibyte);
    await client.query(`DO $$ BEGIN RAISE WARNING 'the last word'; END $$`);
    expect(await readFile(log(), 'utf8')).toContain('the last word'); // Postgres goes on in the same file
  });
});

test('a log that an earlier run let grow is shortened at the start', async () => {
  for (let written = 0; written < 20; written += 1) appendFileSync(log(), 'y'.repeat(mebibyte));
  await withServer(async () => {
    expect(sizeOf(log())).toBeLessThan(mebibyte);
    expect(sizeOf(previousLog())).toBe(8 * mebibyte);
    expect((await readFile(previousLog(), 'utf8')).at(-1)).toBe('y');
  });
});

test('why it did not start is taken from the log of that start', async () => {
  const start = (wrong: Record<string, string>) => startEmbedded({ dataDir, settings: { ...settings, ...wrong } });
  await expect(start({ shared_buffers: 'plenty' })).rejects.toThrow(/^Postgres did not start: .*"shared_buffers": "plenty"/);
  await expect(start({ wal_buffers: 'many' })).rejects.toThrow(/^Postgres did not start: .*"wal_buffers": "many"/);
});
