// @ts-check
/** `npm run bench -- --report`: load/RESULTS.md, the only page with figures of the benchmark, and what the README quotes of it. */
import { access, constants, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { notes } from './notes.js';
import { findQuotes, quoteFigures } from './quotes.js';
import { comparisonsOf, comparisonTable, latencyTable, throughputTable } from './report.js';

/** @typedef {import('./report.js').Report} Report */

/** @param {import('./machine.js').Machine} machine @param {boolean} withRedis */
function versionsOf({ node, postgres, fsync, synchronousCommit, generator, redis }, withRedis) {
  const server = `Postgres ${postgres} (\`fsync\` ${fsync}, \`synchronous_commit\` ${synchronousCommit})`;
  return [`Node ${node}`, server, generator, ...(withRedis ? [`Redis ${redis ?? ''}`] : [])].join(', ');
}

/** @param {Report} report */
function aboutTable({ machine, connections, rounds, seconds, figures }) {
  return [
    '| | |',
    '|---|---|',
    `| machine | ${machine.cpu}, ${machine.memoryGiB} GiB, ${machine.system} |`,
    `| versions | ${versionsOf(machine, figures['redis'] !== undefined)} |`,
    `| commit | ${machine.commit} |`,
    `| date | ${machine.date} |`,
    `| run | ${rounds} rounds of ${seconds} s after one to warm up, ${connections} connections |`,
  ];
}

/** @param {Report} report */
function verdict(report) {
  const compared = comparisonsOf(report);
  const missed = compared.filter(({ isReached }) => !isReached).length;
  return missed === 0
    ? `All ${compared.length} comparisons reach what is wanted.`
    : `Short of what is wanted: ${missed} of ${compared.length}.`;
}

/** @param {Report} report @returns {string} load/RESULTS.md */
export function resultsPage(report) {
  const { rounds, seconds, old, figures, latencies } = report;
  if (!latencies) throw new Error('the report is that of a whole run');
  const own = notes.filter(([names]) => names.every((name) => figures[name] !== undefined));
  return `# Results

One run of \`npm run bench -- --report --rounds=${rounds} --seconds=${seconds} --old=${old}\`,
which wrote this page and the figures in the README. No other document has figures of the
benchmark.

${aboutTable(report).join('\n')}

Load generator, API and Postgres share the machine, so compare only ratios.

## Throughput

The median of the rounds, and each round. [The names](README.md#the-side-by-side-benchmark) are
explained beside the benchmark.

${throughputTable(report).join('\n')}

## Comparisons

Each is the ratio of two medians of this run.

${comparisonTable(report).join('\n')}

${verdict(report)}

## Latencies

${latencyTable(latencies).join('\n')}

Answers at constant arrival, by status: ${answersOf(latencies.arrival.statuses)}.

## What each comparison shows and does not show

${own.map(([, text]) => `- ${text.replaceAll('\n', '\n  ')}`).join('\n')}
`;
}

/** @param {Record<string, number>} statuses how many of each */
const answersOf = (statuses) =>
  Object.entries(statuses)
    .map(([status, count]) => `${count.toLocaleString('en')} × ${status}`)
    .join(', ');

/** A run takes long, so this is called before it. @param {string} folder @throws if a report could not be written into it */
export async function checkFolder(folder) {
  await access(join(folder, 'load'), constants.W_OK);
  findQuotes(await readFile(join(folder, 'README.md'), 'utf8'));
}

/**
 * @param {Report} report
 * @param {string} folder with a README.md, and a folder load
 * @returns {Promise<string[]>} the paths of what was written
 */
export async function writeReport(report, folder) {
  const [pagePath, readmePath] = [join(folder, 'load', 'RESULTS.md'), join(folder, 'README.md')];
  const page = resultsPage(report);
  await writeFile(pagePath, page);
  await writeFile(readmePath, quoteFigures(await readFile(readmePath, 'utf8'), page));
  return [pagePath, readmePath];
}
