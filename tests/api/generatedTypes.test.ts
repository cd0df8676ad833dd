/**
 * Goal: the types that openapi-typescript generates from the served document are of use to the author of a client: operations have names,
 * each problem its own members, and a mistake does not compile.
 * Method: the two programs as a user runs them. A client that is right compiles; then each line that is wrong is found, and no other.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { useDatabase } from '../support/database.js';
import { publishedDocument } from './call.js';

const database = useDatabase();
const run = promisify(execFile);
const program = (path: string) => fileURLToPath(new URL(`../../node_modules/${path}`, import.meta.url));
let folder: string;

beforeAll(async () => {
  const { address } = await database.startReplica();
  const { content } = await publishedDocument(address);
  folder = mkdtempSync(join(tmpdir(), 'onsale-types-'));
  writeFileSync(join(folder, 'openapi.json'), JSON.stringify(content));
  await runNode('openapi-typescript/bin/cli.js', ['openapi.json', '-o', 'api.ts']);
}, 120_000);
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** @returns what it printed, also if it failed */
async function runNode(path: string, args: readonly string[]): Promise<string> {
  const options = { cwd: folder, env: { ...process.env, NODE_OPTIONS: '' } };
  return run(process.execPath, [program(path), ...args], options).then(
    ({ stdout }) => stdout,
    (error: unknown) => (error as { readonly stdout: string }).stdout,
  );
}

/** @returns the numbers of the lines that do not compile, from 1 */
async function wrongLines(source: string): Promise<number[]> {
  writeFileSync(join(folder, 'client.ts'), source);
  const flags = [
    '--noEmit',
    '--strict',
    '--skipLibCheck',
    '--exactOptionalPropertyTypes',
    '--module',
    'nodenext',
    '--target',
    'es2022',
    '--lib',
    'es2023,dom',
  ];
  const printed = await runNode('typescript/bin/tsc', [...flags, 'client.ts']);
  const lines = printed.split('\n').filter((line) => line.includes('error TS'));
  const ofClient = lines.flatMap((line) => /^client\.ts\((\d+),/.exec(line)?.[1] ?? []);
  expect(lines).toHaveLength(ofClient.length); // none in api.ts, and none about the flags
  return [...new Set(ofClient.map(Number))];
}

const client = `import type { components, operations, paths } from './api.js';

type Buy = operations['buyTickets'];
type Purchase = components['schemas']['Purchase'];
type JsonOf<Response> = Response extends { content: { 'application/problem+json': infer Body } } ? Body : never;
type Refusal = JsonOf<Buy['responses'][keyof Buy['responses']]>;
type Body = Buy['requestBody']['content']['application/json'];

export async function buy(base: string, eventId: Buy['parameters']['path']['event_id'], key: string, body: Body): Promise<Purchase | Refusal> {
  const headers = { 'Idempotency-Key': key } satisfies Buy['parameters']['header'];
  const answer = await fetch(base + '/events/' + eventId + '/purchases', { method: 'POST', headers, body: JSON.stringify(body) });
  return (await answer.json()) as Purchase | Refusal;
}

export function explain(refusal: Refusal): string {
  switch (refusal.code) {
    case 'sold-out':
      return refusal.held_quantity > 0 ? 'Try again later' : 'Sold out';
    case 'insufficient-availability':
      return 'Only ' + refusal.available_quantity.toFixed() + ' left';
    case 'purchase-limit-exceeded':
      return 'At most ' + refusal.max_purchase_limit.toFixed();
    case 'sale-not-started':
      return 'Starts at ' + new Date(refusal.sale_starts_at).toISOString();
    case 'buyer-limit-exceeded':
      return refusal.remaining.toFixed() + ' more';
    case 'validation':
      return refusal.errors.map(({ in: place, path, message }) => place + ' ' + path + ' ' + message).join();
    case 'outcome-unknown':
      return 'Look up ' + (refusal.purchase_id ?? 'the event');
    default:
      return refusal.detail;
  }
}

export const statuses: Record<Purchase['status'], string> = { held: 'h', confirmed: 'c', released: 'r', expired: 'e', cancelled: 'x' };
export const body: Body = { quantity: 2, buyer_id: 'customer-17' };
export const status: JsonOf<Buy['responses'][409]>['status'] = 409;
export const replayed: Buy['responses'][201]['headers']['Idempotency-Replayed'] = 'true';
export const retryAfter: Buy['responses'][503]['headers']['Retry-After'] = '2';
export const newEvent: components['schemas']['NewEvent'] = { name: 'x', total_quota: 10, max_purchase_limit: 2, hold_seconds: null };
export const page: paths['/events']['get']['parameters']['query'] = { limit: 10 };
export const anyProblem = (problem: components['schemas']['Problem']): number => (problem.code === 'not-ready' ? problem.status : 0);
`;

test('a client of the operations and their refusals compiles', async () => {
  expect(await wrongLines(client)).toEqual([]);
}, 120_000);

test('every mistake of a client is found where it is', async () => {
  const wrong = [
    `export const a: operations['buyTicket'] | undefined = undefined;`,
    `export const b: Body = { quantity: '2' };`,
    `export const c: Body = { quantity: 2, buyer: 'ann' };`,
    `export const d = (refusal: Refusal) => refusal.code === 'soldout';`,
    `export const e = (refusal: Refusal) => (refusal.code === 'sale-ended' ? refusal.held_quantity.toFixed() : '');`,
    `export const f = (purchase: Purchase) => purchase.status === 'paid';`,
    `export const g: JsonOf<Buy['responses'][409]>['code'] = 'overloaded';`,
    `export const h: components['schemas']['NewEvent'] = { name: 'x', total_quota: 10 };`,
    `export const i = (purchase: Purchase): string => purchase.buyer_id;`,
    `export const j: keyof Buy['responses'] = 418;`,
    `export const k: string = {} as Buy['responses'][201]['headers']['Idempotency-Replayed'];`,
    `export const l: string = {} as Buy['responses'][201]['headers']['RateLimit'];`,
  ];
  const first = client.split('\n').length;
  expect(await wrongLines(client + wrong.join('\n'))).toEqual(wrong.map((_line, index) => first + index));
}, 120_000);
