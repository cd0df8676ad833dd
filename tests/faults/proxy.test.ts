/**
 * Goal: the proxy does to a commit what it says it does, and nothing to anything else.
 * Method: a table in a real Postgres, written through the proxy and looked at past it.
 */
import { beforeAll, expect, test } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { useDatabase } from '../support/database.js';
import { type CommitFate, Proxy } from './proxy.js';
import { Framer } from './wire.js';

const database = useDatabase({ empty: true });
let proxy: Proxy;
let happened: string[] = [];

beforeAll(async () => {
  await database.sql.query('CREATE TABLE written (what text)');
  const port = Number(new URL(database.url).port);
  proxy = database.closeLater(await Proxy.open({ port, happened: (fate, way) => happened.push(`${fate} ${way}`) }));
});

async function connect(): Promise<pg.Client> {
  const url = new URL(database.url);
  url.port = String(proxy.port);
  const client = new pg.Client({ connectionString: url.href });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

const writing = (what: string) => ({ name: 'writes', text: 'INSERT INTO written VALUES ($1)', values: [what] });
const isWritten = async (what: string) => (await database.sql.query('SELECT FROM written WHERE what = $1', [what])).rowCount === 1;

/** Meets the next commit, once. */
function meetNext(fate: CommitFate): void {
  happened = [];
  let met = false;
  proxy.mishap = () => {
    if (met) return undefined;
    met = true;
    return { fate, lateByMs: 200 };
  };
}

async function untilWritten(what: string): Promise<boolean> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    if (await isWritten(what)) return true;
    await pause(20);
  }
  return false;
}

const ways = {
  'by itself': async (client: pg.Client, what: string) => {
    await client.query('SELECT $1::text', ['no commit']);
    await client.query(writing(what));
  },
  'by COMMIT': async (client: pg.Client, what: string) => {
    await client.query('BEGIN');
    await client.query(writing(what));
    await client.query('COMMIT');
  },
};
const everyWay = Object.entries(ways);

test.each(everyWay)('what commits %s passes when nothing is meant for it', async (way, write) => {
  proxy.mishap = () => undefined;
  const client = await connect();
  await write(client, `passes ${way}`);
  await client.end();
  expect(await isWritten(`passes ${way}`)).toBe(true);
});

test.each(everyWay)('what commits %s and is cut before is never written', async (way, write) => {
  meetNext('cut before');
  const client = await connect();
  await expect(write(client, `before ${way}`)).rejects.toThrow(/ECONNRESET|terminated/);
  await pause(100);
  expect(await isWritten(`before ${way}`)).toBe(false);
  expect(happened).toEqual([`cut before ${way}`]);
});

test.each(everyWay)('what commits %s and is cut after is written, and its client gets no answer', async (way, write) => {
  meetNext('cut after');
  const client = await connect();
  await expect(write(client, `after ${way}`)).rejects.toThrow(/ECONNRESET|terminated/);
  expect(await isWritten(`after ${way}`)).toBe(true);
  expect(happened).toEqual([`cut after ${way}`]);
});

test.each(everyWay)('what commits %s and is delivered late is written after its client lost the connection', async (way, write) => {
  meetNext('delivered late');
  const client = await connect();
  await expect(write(client, `late ${way}`)).rejects.toThrow(/ECONNRESET|terminated/);
  expect(await isWritten(`late ${way}`)).toBe(false);
  expect(await untilWritten(`late ${way}`)).toBe(true);
  expect(happened).toEqual([`delivered late ${way}`]);
});

test('a commit that fails by itself is passed on, and its fate waits for none other', async () => {
  meetNext('cut after');
  const client = await connect();
  await client.query('BEGIN');
  await expect(client.query('SELECT 1 / 0')).rejects.toThrow('division by zero');
  expect((await client.query('COMMIT')).command).toBe('ROLLBACK');
  expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  await client.end();
  expect(happened).toEqual([]);
});

test('a silent proxy accepts and says nothing; when it speaks again, those connections are cut', async () => {
  proxy.mishap = () => undefined;
  const client = await connect();
  proxy.fallSilent();
  const lost = expect(client.query('SELECT 1')).rejects.toThrow(/ECONNRESET|terminated/);
  expect(await Promise.race([lost.then(() => 'answered'), pause(200, 'silent')])).toBe('silent');
  proxy.speak();
  await lost;
  await (await connect()).end();
});

test('a stalled connection answers late, and loses nothing', async () => {
  const client = await connect();
  for (const link of proxy.links) link.stall(200);
  const sentAtMs = performance.now();
  expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  expect(performance.now() - sentAtMs).toBeGreaterThan(150);
  await client.end();
});

test('messages are found wherever the stream is cut into chunks', () => {
  const message = (type: string, text: string) => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(4 + text.length);
    return Buffer.concat([Buffer.from(type), head, Buffer.from(text)]);
  };
  const stream = Buffer.concat([message('', 'start-up'), message('Q', 'SELECT 1'), message('S', ''), message('X', '')]);
  for (let at = 0; at <= stream.length; at += 1) {
    const framer = new Framer('client');
    const found = [...framer.push(stream.subarray(0, at)), ...framer.push(stream.subarray(at))];
    expect(found.map(({ type }) => type)).toEqual(['', 'Q', 'S', 'X']);
    expect(Buffer.concat(found.map(({ bytes }) => bytes)).equals(stream)).toBe(true);
  }
});
