// @ts-check
/**
 * The side-by-side benchmark: `npm run bench`. Every contender in turn, A B A B, so that a noisy minute of the machine hits
 * them all; medians, and ratios of medians from the same run. After each run the books must balance, or it is void.
 *
 * Options: --rounds=3 --seconds=4 --only=purchases,nothing --old=5000000 --json
 */
import { cpus, release, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { closedLoop, constantArrival, oneAtATime, percentile, wrkVersion } from './generator.js';
import { openStage, redisVersion } from './stage.js';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '4' },
    only: { type: 'string' },
    old: { type: 'string', default: '5000000' },
    json: { type: 'boolean', default: false },
  },
});
const rounds = Number(options.rounds);
const seconds = Number(options.seconds);
const connections = 256;
const warmUpSeconds = 1;
const only = options.only?.split(',');

const stage = await openStage();
process.once('uncaughtException', (error) => {
  process.stderr.write(`The benchmark failed: ${error.stack}\n`);
  void stage.close().finally(() => process.exit(1));
});
/** @param {string} line */
const progress = (line) => process.stderr.write(`${line}\n`);

/**
 * One measured run of a closed loop.
 *
 * @param {string[]} addresses the connections are divided among them
 * @param {'purchases' | 'reads'} kind
 * @param {string[]} eventIds
 */
async function measure(addresses, kind, eventIds) {
  const each = Math.ceil(connections / addresses.length);
  const load = (/** @type {number} */ forSeconds) =>
    Promise.all(addresses.map((address) => closedLoop({ address, kind, eventIds, connections: each, seconds: forSeconds })));
  // Each has just been idle while the others had their turn: its caches are cold, its connections have not been used.
  await load(warmUpSeconds);
  const runs = await load(seconds);
  const refused = runs.reduce((sum, run) => sum + run.refused, 0);
  return { perSecond: runs.reduce((sum, run) => sum + run.perSecond, 0), refused };
}

/** @param {string[]} addresses @param {string[]} eventIds */
async function sell(addresses, eventIds) {
  const before = await stage.audit(eventIds);
  const { perSecond, refused } = await measure(addresses, 'purchases', eventIds);
  const sold = (await stage.audit(eventIds)) - before;
  if (refused > 0) throw new Error(`${refused} purchases were refused`);
  // The generator stops with requests under way, which may be sold and not counted as answered.
  const answered = perSecond * seconds * 2;
  if (sold < answered * 0.97) throw new Error(`${answered} tickets were answered for, and ${sold} sold`);
  return perSecond;
}

const onsale = await stage.onsale();
const replicas = [await stage.onsale(), await stage.onsale(), await stage.onsale()];
const nothing = await stage.contender('nothing');
const plain = await stage.contender('plain');
const oneByOne = await stage.contender('one-by-one');
const redis = stage.hasRedis ? await stage.contender('redis') : undefined;

const anyEvent = await stage.makeEvent(onsale.address);
const manyEvents = await Promise.all(Array.from({ length: 100 }, () => stage.makeEvent(onsale.address)));
const soldOut = await stage.makeEvent(onsale.address, 1);
await fetch(`${onsale.address}/events/${soldOut}/purchases`, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: '{"quantity":1}',
});

const wanted = (/** @type {string} */ name) => only === undefined || only.includes(name);
let oldEvent = '';
if (wanted('old event')) {
  progress(`preparing an event with ${options.old} tickets sold …`);
  oldEvent = await stage.makeOldEvent(Number(options.old));
}

/** @type {{ name: string, run: () => Promise<number> }[]} */
const contenders = [
  { name: 'nothing', run: async () => (await measure([nothing.address], 'purchases', [anyEvent])).perSecond },
  { name: 'purchases', run: async () => sell([onsale.address], [await stage.makeEvent(onsale.address)]) },
  { name: 'plain', run: async () => (await measure([plain.address], 'purchases', [anyEvent])).perSecond },
  { name: 'one by one', run: async () => sell([oneByOne.address], [await stage.makeEvent(onsale.address)]) },
  ...(redis ? [{ name: 'redis', run: async () => (await measure([redis.address], 'purchases', [anyEvent])).perSecond }] : []),
  { name: 'nothing reads', run: async () => (await measure([nothing.address], 'reads', [anyEvent])).perSecond },
  { name: 'plain reads', run: async () => (await measure([plain.address], 'reads', [anyEvent])).perSecond },
  { name: 'reads', run: async () => (await measure([onsale.address], 'reads', [anyEvent])).perSecond },
  { name: 'sold out', run: async () => (await measure([onsale.address], 'purchases', [soldOut])).perSecond },
  { name: 'old event', run: async () => sell([onsale.address], [oldEvent]) },
  { name: 'hundred events', run: async () => sell([onsale.address], manyEvents) },
  {
    name: 'three replicas',
    run: async () =>
      sell(
        replicas.map((replica) => replica.address),
        [await stage.makeEvent(onsale.address)],
      ),
  },
].filter(({ name }) => wanted(name));

/** @type {Record<string, number[]>} */
const figures = Object.fromEntries(contenders.map(({ name }) => [name, []]));
for (let round = 0; round <= rounds; round += 1) {
  for (const { name, run } of contenders) {
    const perSecond = await run();
    // The first round warms everything up: the compiler, the pools, the pages.
    if (round > 0) figures[name]?.push(perSecond);
    progress(`${round === 0 ? 'warm-up' : `round ${round}`}  ${name.padEnd(14)} ${perSecond.toFixed(0)}/s`);
  }
}

const idle = { onsale: NaN, plain: NaN };
/** @type {Awaited<ReturnType<typeof constantArrival>> | undefined} */
let arrival;
if (only === undefined) {
  const eventId = await stage.makeEvent(onsale.address);
  for (const count of [50, 300]) {
    idle.plain = await oneAtATime({ address: oneByOne.address, eventId, count });
    idle.onsale = await oneAtATime({ address: onsale.address, eventId, count });
  }
  progress('1,000 purchases a second for ten seconds …');
  arrival = await constantArrival({ address: onsale.address, eventId, perSecond: 1_000, seconds: 10 });
  await stage.audit([eventId]);
}
const { rows: versions } = await stage.sql.query(
  `SELECT current_setting('server_version') AS postgres, current_setting('synchronous_commit') AS synchronous_commit, current_setting('fsync') AS fsync`,
);
await stage.close();

const median = (/** @type {string} */ name) => percentile(figures[name] ?? [], 0.5);
/** @type {[string, string, string, number][]} name, measured against, what it says, at least */
const comparisons = [
  ['purchases', 'nothing', 'purchases / a route that does nothing', 0.9],
  ['purchases', 'plain', 'purchases / the same route in plain Express', 0.9],
  ['purchases', 'one by one', 'purchases / one transaction per request', 15],
  ['purchases', 'redis', 'purchases / Redis, Lua, appendfsync always', 1],
  ['reads', 'nothing reads', 'availability reads / a GET that does nothing', 0.9],
  ['reads', 'plain reads', 'availability reads / the same GET in plain Express', 0.9],
  ['sold out', 'nothing', 'sold-out answers / a route that does nothing', 0.9],
  ['hundred events', 'purchases', 'a hundred events / one event', 0.7],
  ['old event', 'purchases', `an event with ${Number(options.old).toLocaleString('en')} tickets sold / an empty one`, 0.9],
  ['three replicas', 'purchases', 'three replicas on the same cores / one', 0.85],
];
const ratios = comparisons
  .map(([name, against, title, atLeast]) => ({ title, ratio: median(name) / median(against), atLeast }))
  .filter(({ ratio }) => !Number.isNaN(ratio));
const machine = {
  cpu: `${cpus().length} × ${cpus()[0]?.model.trim()}`,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  kernel: release(),
  node: process.version,
  generator: wrkVersion() === undefined ? 'autocannon' : `wrk ${wrkVersion()}`,
  redis: redisVersion() ?? 'not installed',
  ...versions[0],
};

if (options.json) {
  process.stdout.write(`${JSON.stringify({ machine, connections, seconds, rounds, figures, ratios, idle, arrival }, null, 2)}\n`);
} else {
  const say = (/** @type {string} */ line) => process.stdout.write(`${line}\n`);
  say(
    `\n${Object.entries(machine)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ')}`,
  );
  say(`${connections} connections, ${rounds} rounds of ${seconds} s, medians; everything on one machine\n`);
  say('| what | answers/s | rounds |\n|---|---:|---|');
  for (const { name } of contenders)
    say(`| ${name} | ${median(name).toFixed(0)} | ${figures[name]?.map((figure) => figure.toFixed(0)).join(', ')} |`);
  say('\n| comparison | ratio | wanted |\n|---|---:|---:|');
  for (const { title, ratio, atLeast } of ratios) say(`| ${title} | ${ratio.toFixed(2)} | ≥ ${atLeast} |`);
  if (arrival) {
    say(
      `| one purchase on an idle system, its latency / the plain transaction's (${idle.onsale.toFixed(2)} / ${idle.plain.toFixed(2)} ms) | ${(idle.onsale / idle.plain).toFixed(2)} | ≤ 1.5 |`,
    );
    say(
      `\n1,000 purchases/s, constant arrival, 10 s: p50 ${arrival.p50.toFixed(1)} ms, p95 ${arrival.p95.toFixed(1)} ms, p99 ${arrival.p99.toFixed(1)} ms; answers ${JSON.stringify(arrival.statuses)}`,
    );
  }
}
