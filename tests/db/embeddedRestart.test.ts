/**
 * Goal: an embedded Postgres that is killed under load comes back by itself; nothing that was acknowledged is lost, nothing is sold
 * twice, and the sale goes on.
 * Method: the built program, buyers who ask without a pause, SIGKILL for the postmaster, and the books afterwards.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { send } from '../support/client.js';
import { failure, type Program, startProgram, stopProgram, stopPrograms, untilGreeted } from '../support/program.js';

let dataDir: string;
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'onsale-restart-'));
});
afterAll(async () => {
  await stopPrograms();
  await rm(dataDir, { recursive: true });
});

const postmaster = async () => Number((await readFile(join(dataDir, 'cluster', 'postmaster.pid'), 'utf8')).split('\n')[0]);

/** The lines of the program's log with this message. */
function logged(program: Program, message: string): Record<string, unknown>[] {
  return program
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{') && line.includes(`"msg":"${message}"`))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

async function untilLogged(program: Program, message: string, times: number): Promise<void> {
  while (logged(program, message).length < times) await pause(20);
}

const died = 'the embedded Postgres ended; it is restarted';
const returned = 'the embedded Postgres is running again';

test('killed twice under load, it comes back on its port, and the books are right', async () => {
  const program = startProgram(dataDir);
  const { address, token } = await untilGreeted(program);
  const admin = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
  const body = JSON.stringify({ name: 'First night', total_quota: 1_000_000, max_purchase_limit: 4 });
  const event = (await send(`${address}/admin/events`, { method: 'POST', headers: admin, body })).body.id;
  const sold = new Map<string, string>();
  let open = true;
  /** Repeats each purchase with its key until it is answered. */
  const buyer = async () => {
    while (open) {
      const key = randomUUID();
      const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': key };
      const ask = () => send(`${address}/events/${event}/purchases`, { method: 'POST', headers, body: '{"quantity":1}' });
      let answer = await ask();
      while (answer.status === 503) {
        await pause(20);
        answer = await ask();
      }
      expect(answer.status).toBe(201);
      sold.set(key, answer.body.id);
    }
  };
  const buyers = Array.from({ length: 20 }, buyer);
  const untilSold = async (count: number) => {
    while (sold.size < count) await Promise.race([pause(20), ...buyers]);
  };
  for (let kills = 1; kills <= 2; kills += 1) {
    await untilSold(sold.size + 200);
    process.kill(await postmaster(), 'SIGKILL');
    await untilLogged(program, returned, kills);
    await untilSold(sold.size + 200);
  }
  open = false;
  await Promise.all(buyers);
  const audit = (await send(`${address}/admin/events/${event}/audit`, { headers: admin })).body as unknown as Record<string, unknown>;
  expect(audit).toMatchObject({ consistent: true, sold_quantity: sold.size });
  expect(new Set(sold.values()).size).toBe(sold.size);
  expect(logged(program, died).map(({ signal }) => signal)).toEqual(['SIGKILL', 'SIGKILL']);
  expect(logged(program, returned)).toHaveLength(2);
  // The instance lock is held again.
  await expect(failure(startProgram(dataDir))).resolves.toMatch(/^Another onsale is running on /);
  await stopProgram(program);
  expect(program.exitCode).toBe(0);
  expect(logged(program, died)).toHaveLength(2);
}, 120_000);

test('a replica that stops while its Postgres is away does not start it again', async () => {
  const program = startProgram(dataDir, { DRAIN_DELAY_MS: '1000' });
  await untilGreeted(program);
  program.kill('SIGTERM');
  while (!program.output().includes('is stopping')) await pause(10);
  process.kill(await postmaster(), 'SIGKILL');
  await new Promise((resolve) => program.once('exit', resolve));
  expect(program.exitCode).toBe(0);
  expect(logged(program, returned)).toEqual([]);
});
