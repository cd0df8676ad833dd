/**
 * Goal: the embedded Postgres keeps its data, recovers from a crash of the API, and says clearly why it cannot start.
 * Method: the built program and the embedded server, started, killed and started again on one directory.
 */
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { send } from '../support/client.js';
import { embeddedUrl, failure, startProgram, stopProgram as stop, stopPrograms, untilGreeted } from '../support/program.js';

let dataDir: string;
const start = (env: Record<string, string> = {}) => startProgram(dataDir, env);

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'onsale-embedded-'));
});
afterAll(async () => {
  await stopPrograms();
  await rm(dataDir, { recursive: true });
});

test('it keeps events and token between runs, also when the API was killed and left Postgres behind', async () => {
  const first = start();
  const { address, token } = await untilGreeted(first);
  const made = await send(`${address}/admin/events`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ name: 'Kept', total_quota: 5, max_purchase_limit: 2 }),
  });
  expect(made.status).toBe(201);
  await stop(first, 'SIGKILL');

  const second = start();
  const again = await untilGreeted(second);
  expect(again.token).toBe(token);
  expect((await send(`${again.address}/events/${made.body.id}`)).body).toEqual(made.body);
  await stop(second);
  expect(second.exitCode).toBe(0);
  await expect(readFile(join(dataDir, 'cluster', 'postmaster.pid'))).rejects.toThrow('ENOENT');
});

test('a second instance on the same data is refused in one sentence, and the first goes on', async () => {
  const first = start();
  const { address } = await untilGreeted(first);
  await expect(failure(start())).resolves.toBe(
    `Another onsale is running on ${dataDir}; stop it, or choose another directory with EMBEDDED_DATA_DIR.`,
  );
  expect((await send(`${address}/readyz`)).status).toBe(200);
  await stop(first);
});

test('when a process of Postgres is killed, the instance keeps its data to itself', async () => {
  const first = start();
  const { address } = await untilGreeted(first);
  const client = new pg.Client({ connectionString: await embeddedUrl(dataDir) });
  client.on('error', () => undefined);
  await client.connect();
  const { rows } = await client.query<{ pid: number }>(`SELECT pid FROM pg_stat_activity WHERE application_name = 'onsale reads' LIMIT 1`);
  process.kill(rows[0]!.pid, 'SIGKILL'); // all sessions end with it, the keeper's too
  await new Promise<void>((resolve) => client.once('end', resolve));
  while ((await send(`${address}/readyz`)).status !== 200) await new Promise((resolve) => setTimeout(resolve, 50));
  await expect(failure(start())).resolves.toMatch(/^Another onsale is running/);
  expect((await send(`${address}/readyz`)).status).toBe(200);
  await stop(first);
});

test('a busy port is named in one sentence, and Postgres is not left behind', async () => {
  const occupant = createServer().listen(0, '127.0.0.1');
  await once(occupant, 'listening');
  const port = String((occupant.address() as AddressInfo).port);
  await expect(failure(start({ PORT: port }))).resolves.toBe(
    `Cannot listen on 127.0.0.1 port ${port}: it is in use; choose another with PORT.`,
  );
  occupant.close();
  await expect(readFile(join(dataDir, 'cluster', 'postmaster.pid'))).rejects.toThrow('ENOENT');
});

test('a directory with other things in it is left as it is', async () => {
  const foreign = await mkdtemp(join(tmpdir(), 'onsale-foreign-'));
  await writeFile(join(foreign, 'letter.txt'), 'mine');
  await expect(failure(start({ EMBEDDED_DATA_DIR: foreign }))).resolves.toBe(
    `The data directory ${foreign} contains other files; choose an empty one with EMBEDDED_DATA_DIR.`,
  );
  await rm(foreign, { recursive: true });
});

test('a directory that cannot be reached is named in one sentence', async () => {
  const closed = await mkdtemp(join(tmpdir(), 'onsale-closed-'));
  // Root reaches everything, its Postgres does not; anybody else is stopped by a file where a directory should be.
  const asRoot = process.getuid?.() === 0;
  const inside = join(closed, 'inside');
  if (asRoot) await mkdir(inside, { mode: 0o700 });
  else await writeFile(inside, '');
  const sentence = await failure(start({ EMBEDDED_DATA_DIR: asRoot ? join(inside, 'data') : inside }));
  expect(sentence).toMatch(/^The data directory \S+ cannot be (reached|used).*\.$/);
  await rm(closed, { recursive: true });
});
