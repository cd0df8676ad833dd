// @ts-check
/** The figures of a run, and the ratios that count: medians over medians of the same run. */
import { percentile } from './generator.js';

/**
 * @typedef {object} Report
 * @property {Record<string, unknown>} machine
 * @property {number} connections
 * @property {number} seconds
 * @property {number} rounds
 * @property {number} old tickets of the old event
 * @property {Record<string, number[]>} figures answers per second, by name and round
 * @property {{ onsale: number, plain: number }} idle latencies in ms, NaN if not measured
 * @property {{ statuses: Record<string, number>, p50: number, p95: number, p99: number } | undefined} arrival
 */

/** Name, measured against, what it says, at least. @param {number} old @returns {[string, string, string, number][]} */
const comparisons = (old) => [
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
const median = ({ figures }, name) => percentile(figures[name] ?? [], 0.5);

/** @param {Report} report */
const ratiosOf = (report) =>
  comparisons(report.old)
    .map(([name, against, title, atLeast]) => ({ title, ratio: median(report, name) / median(report, against), atLeast }))
    .filter(({ ratio }) => !Number.isNaN(ratio));

/** @param {Report} report */
export const toJson = (report) => `${JSON.stringify({ ...report, ratios: ratiosOf(report) }, null, 2)}\n`;

/** Tables in Markdown. @param {Report} report */
export function toText(report) {
  const { machine, connections, seconds, rounds, figures, idle, arrival } = report;
  const about = Object.entries(machine).map(([name, value]) => `${name} ${value}`);
  const lines = [
    `\n${about.join(', ')}`,
    `${connections} connections, ${rounds} rounds of ${seconds} s, medians; everything on one machine\n`,
    '| what | answers/s | rounds |\n|---|---:|---|',
    ...Object.entries(figures).map(
      ([name, own]) => `| ${name} | ${median(report, name).toFixed(0)} | ${own.map((figure) => figure.toFixed(0)).join(', ')} |`,
    ),
    '\n| comparison | ratio | wanted |\n|---|---:|---:|',
    ...ratiosOf(report).map(({ title, ratio, atLeast }) => `| ${title} | ${ratio.toFixed(2)} | ≥ ${atLeast} |`),
  ];
  if (arrival) {
    const latencies = `${idle.onsale.toFixed(2)} / ${idle.plain.toFixed(2)} ms`;
    lines.push(
      `| one purchase on an idle system, its latency / the plain transaction's (${latencies}) | ${(idle.onsale / idle.plain).toFixed(2)} | ≤ 1.5 |`,
      `\n1,000 purchases/s, constant arrival, 10 s: p50 ${arrival.p50.toFixed(1)} ms, p95 ${arrival.p95.toFixed(1)} ms, p99 ${arrival.p99.toFixed(1)} ms; answers ${JSON.stringify(arrival.statuses)}`,
    );
  }
  return `${lines.join('\n')}\n`;
}
