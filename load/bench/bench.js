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
import { toJson, toText } from './report.js';
import { openStage, redisVersion, token } from './stage.js';

const usage = `The side-by-side benchmark. After "npm run bench --":
  --rounds=3                 measured rounds; one more warms up
  --seconds=4                of each run
  --only=purchases,nothing   contenders, by name
  --old=5000000              tickets sold before, of the contender "old event"
  --json                     figures as JSON
`;

function readOptions() {
  try {
    return parseArgs({
      options: {
        rounds: { type: 'string', default: '3' },
        seconds: { type: 'string', default: '4' },
        only: { type: 'string' },
        old: { type: 'string', default: '5000000' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    process.stderr.write(`${/** @type {Error} */ (error).message}\n\n${usage}`);
    return process.exit(1);
  }
}

const options = readOptions();
if (options.help) {
  process.stdout.write(usage);
  process.exit(0);
}
const rounds = Number(options.rounds);
const seconds = Number(options.seconds);
const connections = 256;
const warmUpSeconds = 1;
/** Holds made beforehand for the run that confirms them; a run that needs more is void. */
const confirmsPerSecondMax = 40_000;
const holding = { hold_seconds: 3_600 };
const only = options.only?.split(',');

const stage = await openStage();
const { books } = stage;
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
 * @param {import('./generator.js').Load['kind']} kind
 * @param {string[]} args
 * @param {string[]} warmUpArgs
 */
async function measure(addresses, kind, args, warmUpArgs = args) {
  const each = Math.ceil(connections / addresses.length);
  const load = (/** @type {string[]} */ own, /** @type {number} */ forSeconds) =>
    Promise.all(addresses.map((address) => closedLoop({ address, kind, args: own, connections: each, seconds: forSeconds })));
  // Each has just been idle while the others had their turn: its caches are cold, its connections have not been used.
  await load(warmUpArgs, warmUpSeconds);
  const runs = await load(args, seconds);
  const refused = runs.reduce((sum, run) => sum + run.refused, 0);
  return { perSecond: runs.reduce((sum, run) => sum + run.perSecond, 0), refused };
}

/** @param {number} tickets in the books @param {number} answered */
function expectInBooks(tickets, answered) {
  // The generator stops with requests under way, which may be carried out and not counted as answered.
  if (tickets < answered * 0.97) throw new Error(`${answered} tickets were answered for, and ${tickets} are in the books`);
}

/** Sells, or holds where the events say so. @param {string[]} addresses @param {string[]} eventIds */
async function sell(addresses, eventIds) {
  const before = await books.onsale.audit(eventIds);
  const { perSecond, refused } = await measure(addresses, 'purchases', eventIds);
  const after = await books.onsale.audit(eventIds);
  if (refused > 0) throw new Error(`${refused} purchases were refused`);
  expectInBooks(after.sold + after.held - before.sold - before.held, perSecond * seconds * 2);
  return perSecond;
}

/** Confirms holds that were made before, each once. */
async function confirm() {
  const eventId = await stage.makeEvent(onsale.address, holding);
  const inWarmUp = confirmsPerSecondMax * warmUpSeconds;
  const ids = await books.onsale.makeHolds(eventId, inWarmUp + confirmsPerSecondMax * seconds, { fromSeconds: 3_600, toSeconds: 3_600 });
  const args = async (/** @type {string} */ name, /** @type {string[]} */ some) => [eventId, token, await stage.writeIds(name, some)];
  const warmUp = await args('warm-up', ids.slice(0, inWarmUp));
  const { perSecond, refused } = await measure([onsale.address], 'confirms', await args('run', ids.slice(inWarmUp)), warmUp);
  if (refused > 0) throw new Error(`${refused} confirmations were refused`);
  const { sold } = await books.onsale.audit([eventId]);
  expectInBooks(sold, perSecond * seconds * 2);
  return perSecond;
}

/**
 * Holds, of which two thirds are confirmed and a third is abandoned: of five answers, three are holds. Meanwhile holds that were
 * abandoned before expire, as many as are abandoned.
 *
 * @param {typeof books.onsale} own
 * @param {string} address
 * @param {string} eventId
 * @param {number | undefined} lastPerSecond what it came to in the round before
 */
async function mix(own, address, eventId, lastPerSecond = 1_000) {
  const inAll = warmUpSeconds + seconds;
  await own.makeHolds(eventId, Math.ceil((lastPerSecond / 5) * inAll), { fromSeconds: 0, toSeconds: inAll });
  const before = await own.audit([eventId]);
  const { perSecond, refused } = await measure([address], 'mix', [eventId, token]);
  if (refused > 0) throw new Error(`${refused} holds or confirmations were refused`);
  await own.untilNoneIsDue(eventId);
  const after = await own.audit([eventId]);
  expectInBooks(after.sold, (perSecond * seconds * 2 * 2) / 5);
  const held = after.sold + after.held;
  if (after.sold > held * 0.67)
    throw new Error(`of ${held} tickets held in the run, ${after.sold} were confirmed (${before.held} were due)`);
  return perSecond;
}

const onsale = await stage.onsale();
// Idle most of the time; what expires in the turn of another is not theirs to sweep.
const sweepingRarely = { SWEEP_INTERVAL_MS: '3600000' };
const replicas = [await stage.onsale(sweepingRarely), await stage.onsale(sweepingRarely), await stage.onsale(sweepingRarely)];
const nothing = await stage.contender('nothing');
const plain = await stage.contender('plain');
const oneByOne = await stage.contender('one-by-one');
const oneRowPerUnit = await stage.contender('one-row-per-unit');
const redis = stage.hasRedis ? await stage.contender('redis') : undefined;

const anyEvent = await stage.makeEvent(onsale.address);
const manyEvents = await Promise.all(Array.from({ length: 100 }, () => stage.makeEvent(onsale.address)));
const soldOut = await stage.makeEvent(onsale.address, { total_quota: 1 });
await fetch(`${onsale.address}/events/${soldOut}/purchases`, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: '{"quantity":1}',
});

/** What each came to in the round before. @type {Record<string, number>} */
const last = {};
const wanted = (/** @type {string} */ name) => only === undefined || only.includes(name);
let oldEvent = '';
if (wanted('old event')) {
  progress(`preparing an event with ${options.old} tickets sold …`);
  oldEvent = await books.makeOldEvent(Number(options.old));
}

/** @type {{ name: string, run: () => Promise<number> }[]} */
const contenders = [
  { name: 'nothing', run: async () => (await measure([nothing.address], 'purchases', [anyEvent])).perSecond },
  { name: 'purchases', run: async () => sell([onsale.address], [await stage.makeEvent(onsale.address)]) },
  { name: 'holds', run: async () => sell([onsale.address], [await stage.makeEvent(onsale.address, holding)]) },
  { name: 'confirms', run: confirm },
  {
    name: 'mix',
    run: async () => mix(books.onsale, onsale.address, await stage.makeEvent(onsale.address, holding), last['mix']),
  },
  {
    name: 'mix by unit',
    run: async () =>
      mix(books.oneRowPerUnit, oneRowPerUnit.address, await books.makeUnitEvent(10_000_000, holding.hold_seconds), last['mix by unit']),
  },
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
// The first round warms everything up: the compiler, the pools, the pages.
for (let round = 0; round <= rounds; round += 1) {
  for (const { name, run } of contenders) {
    const perSecond = await run();
    last[name] = perSecond;
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
  await books.onsale.audit([eventId]);
}
const { rows: versions } = await stage.sql.query(
  `SELECT current_setting('server_version') AS postgres, current_setting('synchronous_commit') AS synchronous_commit, current_setting('fsync') AS fsync`,
);
await stage.close();

const machine = {
  cpu: `${cpus().length} × ${cpus()[0]?.model.trim()}`,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  kernel: release(),
  node: process.version,
  generator: wrkVersion() === undefined ? 'autocannon' : `wrk ${wrkVersion()}`,
  redis: redisVersion() ?? 'not installed',
  ...versions[0],
};
const report = { machine, connections, seconds, rounds, old: Number(options.old), figures, idle, arrival };
process.stdout.write(options.json ? toJson(report) : toText(report));
