/**
 * Goal: the keys of the issuer follow its JWKS endpoint, and an endpoint that misbehaves costs neither the known keys nor a request's time.
 * Method: a real endpoint on loopback; the clock is a variable, and no periodic refresh runs unless it is the subject.
 */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { errors } from 'jose';
import { Problem } from '../../src/http/contract/problems.js';
import { IssuerKeys, type IssuerKeysSettings } from '../../src/http/tokens/issuerKeys.js';
import { type Endpoint, newKey, openEndpoint, type SigningKey } from '../support/issuer.js';
import { until } from '../support/program.js';

let [a, b]: SigningKey[] = [];
let endpoint: Endpoint;
let nowMs: number;
let lines: { level: string; details: Record<string, unknown>; message: string }[];

beforeAll(async () => {
  [a, b] = await Promise.all([newKey('a'), newKey('b', 'RS256')]);
});

beforeEach(async () => {
  endpoint = await openEndpoint(a!);
  [nowMs, lines] = [1_000_000, []];
});

afterEach(() => endpoint.close());

const settings = { timeoutMs: 20_000, refreshMs: 20_000, cooldownMs: 5_000, staleMaxMs: 3_600_000 };

function open(changes: Partial<IssuerKeysSettings> = {}): IssuerKeys {
  const write = (level: string) => (details: object, message: string) => lines.push({ level, details: { ...details }, message });
  return new IssuerKeys({ url: endpoint.url, ...settings, ...changes }, { info: write('info'), warn: write('warn') }, () => nowMs);
}

/** What became of a token signed with this key: known, unknown, or not to be known. */
async function judge(keys: IssuerKeys, { alg, kid }: Pick<SigningKey, 'alg' | 'kid'>): Promise<string> {
  try {
    const found = await keys.find({ alg, kid }, { payload: '', signature: '' });
    return (found as { type: string }).type === 'public' ? 'known' : 'wrong';
  } catch (error) {
    if (error instanceof errors.JWKSNoMatchingKey) return 'unknown';
    if (error instanceof Problem && error.code === 'overloaded') return 'unavailable';
    throw error;
  }
}

const broken: readonly (readonly [string, (response: ServerResponse) => void, RegExp])[] = [
  ['an error', (response) => response.writeHead(500).end('{"keys":[]}'), /^it answered 500$/],
  ['a redirect', (response) => response.writeHead(302, { Location: 'http://127.0.0.1:1/keys' }).end(), /^it answered 302$/],
  ['something that is no JSON', (response) => response.end('<html>'), /JSON/],
  ['JSON that is no key set', (response) => response.end('{"keys":17}'), /JSON Web Key Set/],
  ['too much', (response) => response.end(`"${'x'.repeat(300_000)}"`), /more than 262144 bytes/],
  ['half of it, and closes', (response) => response.writeHead(200, { 'Content-Length': 9 }).write('{', () => response.destroy()), /./],
  ['nothing, and closes', (response) => response.destroy(), /./],
];

test.each(broken)('an endpoint that answers %s costs no known key, until the keys are too old', async (_, answer, reason) => {
  const keys = open();
  await keys.fetchOnce();
  endpoint.answer(answer);
  await keys.fetchOnce();
  expect(lines).toEqual([expect.objectContaining({ level: 'warn', message: expect.stringContaining('could not be fetched') })]);
  expect(lines[0]!.details).toEqual({ url: endpoint.url, reason: expect.stringMatching(reason), known_keys_verify_for_seconds: 3_600 });
  nowMs += settings.staleMaxMs;
  const { requests } = endpoint;
  expect(await judge(keys, a!)).toBe('known');
  expect(endpoint.requests).toBe(requests);
  nowMs += 1;
  expect(await judge(keys, a!)).toBe('unavailable');
  expect(endpoint.requests).toBe(requests + 1);
});

test('without keys nothing is judged: it is asked again at most once per cooldown, and the answer says when', async () => {
  endpoint.answer((response) => response.writeHead(503).end());
  const keys = open();
  expect(await Promise.all([judge(keys, a!), judge(keys, a!), judge(keys, b!)])).toEqual(['unavailable', 'unavailable', 'unavailable']);
  expect(await judge(keys, a!)).toBe('unavailable');
  expect(endpoint.requests).toBe(1);
  nowMs += 1_500;
  await expect(keys.find({ alg: 'ES256', kid: 'a' }, { payload: '', signature: '' })).rejects.toMatchObject({
    headers: { 'Retry-After': '4' },
  });
  endpoint.publish(a!);
  nowMs += 3_500;
  expect(await judge(keys, a!)).toBe('known');
  expect(lines.map(({ level }) => level)).toEqual(['warn', 'info']);
});

test('tokens that arrive before the first keys wait for them together', async () => {
  let respond: (() => void) | undefined;
  endpoint.answer((response) => (respond = () => response.end(JSON.stringify({ keys: [a!.jwk] }))));
  const keys = open();
  const together = Promise.all([judge(keys, a!), judge(keys, a!), judge(keys, a!)]);
  await until(() => respond !== undefined, 'the endpoint is asked');
  respond!();
  expect(await together).toEqual(['known', 'known', 'known']);
  expect(endpoint.requests).toBe(1);
});

test('a rotated key is known with its first token, and a removed one is unknown after the next fetch', async () => {
  const keys = open();
  expect(await judge(keys, a!)).toBe('known');
  nowMs += 5_000;
  endpoint.publish(a!, b!);
  expect(await Promise.all([judge(keys, b!), judge(keys, b!)])).toEqual(['known', 'known']);
  expect(await judge(keys, a!)).toBe('known');
  expect(endpoint.requests).toBe(2);
  endpoint.publish(b!);
  await keys.fetchOnce();
  expect(await judge(keys, a!)).toBe('unknown');
  expect(await judge(keys, b!)).toBe('known');
});

test('a flood of tokens with unknown keys causes one fetch per cooldown', async () => {
  const keys = open();
  await keys.fetchOnce();
  for (let round = 0; round < 3; round += 1) {
    const flood = Array.from({ length: 50 }, (_, index) => judge(keys, { alg: 'ES256', kid: `invented-${String(index)}` }));
    expect(new Set(await Promise.all(flood))).toEqual(new Set(['unknown']));
    expect(endpoint.requests).toBe(2 + round);
    nowMs += settings.cooldownMs;
  }
});

test('while the endpoint is down, an unknown key may be a new one: its token is not called invalid', async () => {
  const keys = open();
  await keys.fetchOnce();
  await endpoint.close();
  expect(await judge(keys, b!)).toBe('unavailable');
  expect(await judge(keys, b!)).toBe('unavailable');
  expect(await judge(keys, a!)).toBe('known');
});

test('a slow fetch delays no token of a known key, and ends at its deadline', async () => {
  const keys = open({ timeoutMs: 100 });
  await keys.fetchOnce();
  endpoint.answer(() => undefined);
  const fetching = keys.fetchOnce();
  await until(() => endpoint.pending === 1, 'the endpoint is asked');
  expect(await judge(keys, a!)).toBe('known');
  await fetching;
  expect(lines.map(({ details }) => details['reason'])).toEqual(['no complete answer within 100 ms']);
  endpoint.answer((response) => response.write('{"keys":['));
  await keys.fetchOnce();
  expect(await judge(keys, a!)).toBe('known');
});

test('an endpoint that stays down is in the log once a minute, and once when it is back', async () => {
  const keys = open();
  endpoint.answer((response) => response.writeHead(500).end());
  for (let second = 0; second < 120; second += 20) {
    await keys.fetchOnce();
    nowMs += 20_000;
  }
  endpoint.publish(a!);
  await keys.fetchOnce();
  await keys.fetchOnce();
  expect(lines.map(({ level }) => level)).toEqual(['warn', 'warn', 'info']);
});

test('a redirect is not followed, whatever is there', async () => {
  let visits = 0;
  const elsewhere = createServer((_request, response) => {
    visits += 1;
    response.end(JSON.stringify({ keys: [b!.jwk] }));
  }).listen(0, '127.0.0.1');
  await once(elsewhere, 'listening');
  const address = `http://127.0.0.1:${String((elsewhere.address() as AddressInfo).port)}`;
  const keys = open();
  endpoint.answer((response) => response.writeHead(301, { Location: address }).end());
  await keys.fetchOnce();
  expect(visits).toBe(0);
  expect((await fetch(endpoint.url)).status).toBe(200); // the control: fetch follows it by itself
  expect(visits).toBe(1);
  elsewhere.closeAllConnections();
  elsewhere.close();
});

test('the keys are fetched from the start and again and again, without any token, until it is stopped', async () => {
  const keys = open({ refreshMs: 10 });
  expect(keys.ageMs).toBe(Infinity);
  const loop = keys.start();
  await until(() => endpoint.requests >= 3, 'the keys are refreshed');
  expect(keys.ageMs).toBe(0);
  endpoint.answer(() => undefined);
  await until(() => endpoint.pending === 1, 'a fetch hangs');
  await loop.stop(); // does not wait for the deadline of 20 s
  const { requests } = endpoint;
  expect(lines.map(({ details }) => details['reason'])).toEqual(['the replica stops']);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(endpoint.requests).toBe(requests);
});
