// @ts-check
/**
 * The side-by-side benchmark: `npm run bench`. Every contender in turn, A B A B, so that a noisy minute of the machine hits
 * them all; medians, and ratios of medians from the same run. `--help` lists the options.
 */
import { fileURLToPath } from 'node:url';
import { names, openContenders } from './contenders.js';
import { constantArrival, oneAtATime } from './generator.js';
import { describeMachine } from './machine.js';
import { connections } from './measure.js';
import { OptionsError, optionsOf, usage } from './options.js';
import { toJson, toText } from './report.js';
import { checkFolder, writeReport } from './resultsPage.js';
import { openStage } from './stage.js';

/** @typedef {import('./options.js').Options} Options */

const checkout = fileURLToPath(new URL('../..', import.meta.url));

/** @param {string} line */
const progress = (line) => process.stderr.write(`${line}\n`);

/**
 * The first round warms everything up: the compiler, the pools, the pages.
 *
 * @param {Awaited<ReturnType<typeof openContenders>>['contenders']} contenders
 * @param {number} rounds
 */
async function runRounds(contenders, rounds) {
  /** @type {Record<string, number[]>} */
  const figures = Object.fromEntries(contenders.map(({ name }) => [name, []]));
  /** What each came to in the round before. @type {Record<string, number>} */
  const last = {};
  for (let round = 0; round <= rounds; round += 1) {
    for (const { name, run } of contenders) {
      const perSecond = await run(last[name]);
      if (round > 0 && perSecond === 0) throw new Error(`${name} answered nothing in a whole run; make the runs longer`);
      last[name] = perSecond;
      if (round > 0) figures[name]?.push(perSecond);
      progress(`${round === 0 ? 'warm-up' : `round ${round}`}  ${name.padEnd(14)} ${perSecond.toFixed(0)}/s`);
    }
  }
  return figures;
}

/** @param {import('./measure.js').Stage} stage @param {string} onsale @param {string} oneByOne their addresses */
async function measureLatencies(stage, onsale, oneByOne) {
  const eventId = await stage.makeEvent(onsale);
  const idle = { onsale: NaN, plain: NaN };
  for (const count of [50, 300]) {
    idle.plain = await oneAtATime({ address: oneByOne, eventId, count });
    idle.onsale = await oneAtATime({ address: onsale, eventId, count });
  }
  progress('1,000 purchases a second for ten seconds …');
  const arrival = await constantArrival({ address: onsale, eventId, perSecond: 1_000, seconds: 10 });
  await stage.books.onsale.audit([eventId]);
  return { idle, arrival };
}

/** @param {import('./measure.js').Stage} stage @param {Options} options @returns {Promise<import('./report.js').Report>} */
async function runOn(stage, { only, rounds, seconds, old }) {
  const machine = await describeMachine(stage.sql, checkout);
  progress('starting the contenders, and preparing their events …');
  const { onsale, oneByOne, contenders } = await openContenders(stage, { only, seconds, old });
  const figures = await runRounds(contenders, rounds);
  const latencies = only === undefined ? await measureLatencies(stage, onsale, oneByOne) : undefined;
  return { machine, connections, seconds, rounds, old, figures, latencies };
}

/** Whatever happens, the stage is closed afterwards. @param {Options} options @param {AbortSignal} signal */
async function benchmark(options, signal) {
  const stage = await openStage({ signal });
  const aborted = new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  try {
    return /** @type {import('./report.js').Report} */ (await Promise.race([runOn(stage, options), aborted]));
  } finally {
    await stage.close();
  }
}

async function main() {
  const options = optionsOf(process.argv.slice(2), names, checkout);
  if (options.help) {
    process.stdout.write(usage);
    return;
  }
  if (options.reportInto !== undefined) await checkFolder(options.reportInto);
  const stopping = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => stopping.abort(`it was stopped by ${name}`));
  process.on('uncaughtException', (error) => stopping.abort(error));
  const report = await benchmark(options, stopping.signal);
  process.stdout.write(options.json ? toJson(report) : toText(report));
  if (options.reportInto !== undefined) for (const path of await writeReport(report, options.reportInto)) progress(`wrote ${path}`);
}

try {
  await main();
} catch (error) {
  const isUsage = error instanceof OptionsError;
  progress(isUsage ? `${error.message}\n\n${usage}` : `The benchmark failed: ${error instanceof Error ? error.stack : String(error)}`);
  process.exit(isUsage ? 2 : 1); // what was under way may still hold the process
}
