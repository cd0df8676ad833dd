// @ts-check
/** The figures of a run, and the ratios that count: medians over medians of the same run. */
import { percentile } from './generator.js';

/**
 * @typedef {object} Latencies in ms
 * @property {{ onsale: number, plain: number }} idle
 * @property {{ statuses: Record<string, number>, p50: number, p95: number, p99: number }} arrival
 */

/**
 * @typedef {object} Report
 * @property {import('./machine.js').Machine} machine
 * @property {number} connections
 * @property {number} seconds
 * @property {number} rounds
 * @property {number} old tickets of the old event
 * @property {Record<string, number[]>} figures answers per second, by name and round
 * @property {Latencies | undefined} latencies measured by a whole run only
 */

/** @typedef {{ title: string, ratio: number, wanted: string, isReached: boolean }} Comparison */

/** Name, measured against, title, wanted at least. @param {number} old @returns {[string, string, string, number][]} */
const pairs = (old) => [
  ['purchases', 'nothing', 'purchases / a route that does nothing', 0.9],
  ['purchases', 'plain', 'purchases / the same route in plain Express', 0.9],
  ['purchases', 'one by one', 'purchases / one transaction per request', 15],
  ['purchases', 'redis', 'purchases / Redis, Lua, appendfsync always', 1],
  ['holds', 'purchases', 'holds / purchases', 0.9],
  ['confirms', 'holds', 'confirmations / holds', 0.9],
  ['mix', 'mix by unit', 'holds, two thirds confirmed / the same on one row per unit, SKIP LOCKED', 5],
  ['reads', 'nothing reads', 'availability reads / a GET that does nothing', 0.9],
  ['reads', 'plain reads', 'availability reads / the same GET in plain Express', 0.9],
  ['sold out', 'nothing', 'sold-out answers / a route that does nothing', 0.9],
  ['hundred events', 'purchases', 'a hundred events / one event', 0.7],
  ['old event', 'purchases', `an event with ${old.toLocaleString('en')} tickets sold / an empty one`, 0.9],
  ['three replicas', 'purchases', 'three replicas on the same cores / one', 0.85],
];

/** @param {Report} report @param {string} name */
export const median = ({ figures }, name) => percentile(figures[name] ?? [], 0.5);

/**
 * Those whose two sides were measured.
 *
 * @param {Report} report
 * @returns {Comparison[]}
 */
export function comparisonsOf(report) {
  const compared = pairs(report.old)
    .filter(([name, against]) => report.figures[name] !== undefined && report.figures[against] !== undefined)
    .map(([name, against, title, atLeast]) => {
      const ratio = median(report, name) / median(report, against);
      return { title, ratio, wanted: `≥ ${atLeast}`, isReached: ratio >= atLeast };
    });
  const { idle } = report.latencies ?? {};
  if (!idle) return compared;
  const ratio = idle.onsale / idle.plain;
  const title = "latency of one purchase on an idle system / the plain transaction's";
  return [...compared, { title, ratio, wanted: '≤ 1.5', isReached: ratio <= 1.5 }];
}

const count = (/** @type {number} */ figure) => Math.round(figure).toLocaleString('en');

/** In Markdown. @param {Report} report @returns {string[]} */
export const throughputTable = (report) => [
  '| what | answers/s | rounds |',
  '|---|---:|---|',
  ...Object.entries(report.figures).map(([name, own]) => `| ${name} | ${count(median(report, name))} | ${own.map(count).join(' · ')} |`),
];

/** In Markdown. @param {Report} report @returns {string[]} */
export const comparisonTable = (report) => [
  '| comparison | ratio | wanted | reached |',
  '|---|---:|---:|---|',
  ...comparisonsOf(report).map(
    ({ title, ratio, wanted, isReached }) => `| ${title} | ${ratio.toFixed(2)} | ${wanted} | ${isReached ? 'yes' : '**no**'} |`,
  ),
];

/** In Markdown. @param {Latencies} latencies @returns {string[]} */
export const latencyTable = ({ idle, arrival }) => [
  '| latency | ms |',
  '|---|---:|',
  `| one purchase on an idle system, median | ${idle.onsale.toFixed(2)} |`,
  `| the same, one transaction per request | ${idle.plain.toFixed(2)} |`,
  ...['p50', 'p95', 'p99'].map(
    (name) => `| 1,000 purchases/s for 10 s, constant arrival: ${name} | ${arrival[/** @type {'p50'} */ (name)].toFixed(1)} |`,
  ),
];

/** @param {Report} report */
export const toJson = (report) => `${JSON.stringify({ ...report, comparisons: comparisonsOf(report) }, null, 2)}\n`;

/** @param {Report} report */
export function toText(report) {
  const { machine, connections, seconds, rounds, latencies } = report;
  const about = Object.entries(machine).map(([name, value]) => `${name} ${value ?? 'none'}`);
  const tables = [throughputTable(report), comparisonTable(report), ...(latencies ? [latencyTable(latencies)] : [])];
  const what = `${connections} connections, ${rounds} rounds of ${seconds} s, medians; everything on one machine`;
  return `\n${about.join(', ')}\n${what}\n\n${tables.map((lines) => `${lines.join('\n')}\n`).join('\n')}`;
}
