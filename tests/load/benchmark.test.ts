/**
 * Goal: the benchmark refuses what it cannot do, leaves nothing behind if its start fails, and writes all of its results.
 * Method: the program itself in a temporary directory of its own; its page of results from figures made up here.
 */
import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { names } from '../../load/bench/contenders.js';
import { optionsOf } from '../../load/bench/options.js';
import { figuresOf, quoteFigures } from '../../load/bench/quotes.js';
import { resultsPage, writeReport } from '../../load/bench/resultsPage.js';

const checkout = fileURLToPath(new URL('../..', import.meta.url));
let dir = '';

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'onsale-benchmark-'));
  chmodSync(dir, 0o755); // as root, Postgres runs as another account
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

/** Runs the benchmark with its temporary files in `dir/tmp`. */
function bench(args: string[], path = process.env['PATH'] ?? '') {
  mkdirSync(join(dir, 'tmp'));
  const env = { ...process.env, NODE_OPTIONS: '', TMPDIR: join(dir, 'tmp'), PATH: path };
  return new Promise<{ code: number; stderr: string }>((resolve) => {
    const child = execFile(process.execPath, ['load/bench/bench.js', ...args], { cwd: checkout, env }, (_, __, stderr) => {
      resolve({ code: child.exitCode ?? -1, stderr });
    });
  });
}

test('a start that fails leaves no process and no directory behind', async () => {
  const bin = join(dir, 'bin');
  mkdirSync(bin);
  // Installed, it says, and then it does not start. By then Postgres is running.
  writeFileSync(join(bin, 'redis-server'), '#!/bin/sh\n[ "$1" = --version ] && echo "Redis server v=7.0.0 sha=0" && exit 0\nexit 3\n');
  chmodSync(join(bin, 'redis-server'), 0o755);
  const { code, stderr } = await bench(['--only=nothing'], `${bin}${delimiter}${process.env['PATH'] ?? ''}`);
  expect(stderr).toContain('The benchmark failed: Error: redis-server ended with 3 before it listened');
  expect(code).toBe(1);
  expect(readdirSync(join(dir, 'tmp'))).toEqual([]);
  expect(execFileSync('ps', ['-eo', 'args']).toString()).not.toContain(join(dir, 'tmp'));
}, 120_000);

test('a folder that cannot take the report is refused before anything starts', async () => {
  writeFileSync(join(dir, 'README.md'), '# A README without a table of figures\n');
  mkdirSync(join(dir, 'load'));
  const { code, stderr } = await bench(['--report', `--into=${dir}`]);
  expect(code).toBe(1);
  expect(stderr).toContain('the document has 0 tables of figures, not one');
  expect(readdirSync(join(dir, 'tmp'))).toEqual([]);
});

test('a report of some contenders is refused before anything starts', async () => {
  const { code, stderr } = await bench(['--report', '--only=purchases,nothing']);
  expect(code).toBe(2);
  expect(stderr).toContain('--report writes the figures of one whole run; leave --only out');
  expect(readdirSync(join(dir, 'tmp'))).toEqual([]);
});

test.each([
  [['--frobnicate'], /--frobnicate/],
  [['--only=bogus'], /does not know "bogus"/],
  [['--rounds=0'], /--rounds must be a whole number/],
  [['--seconds=1.5'], /--seconds must be a whole number/],
  [['--old=6'], /--old must be a multiple of 4/],
  [['--into=/elsewhere'], /--into is for --report/],
  [['--report', '--json'], /exclude each other/],
])('%j is refused', (args, message) => {
  expect(() => optionsOf(args, names, '/checkout')).toThrow(message);
});

test('a report goes into the checkout, or into another folder; "all" is everything', () => {
  expect(optionsOf(['--report'], names, '/checkout')).toMatchObject({ reportInto: '/checkout', only: undefined });
  expect(optionsOf(['--report', '--only=all', '--into=/x'], names, '/checkout')).toMatchObject({ reportInto: '/x', only: undefined });
  expect(optionsOf([], names, '/checkout').reportInto).toBeUndefined();
});

const machine = {
  cpu: '2 × a processor',
  memoryGiB: 24,
  system: 'Linux 6',
  node: '24.0.0',
  postgres: '18.4',
  fsync: 'on',
  synchronousCommit: 'on',
  generator: 'wrk 4.1.0',
  redis: '7.0.15',
  commit: 'abc1234 with uncommitted changes',
  date: '2026-11-25',
};
const report = {
  machine,
  connections: 256,
  seconds: 3,
  rounds: 3,
  old: 5_000_000,
  figures: {
    ...Object.fromEntries(names.map((name) => [name, [1_000, 1_200, 1_100]])),
    nothing: [20_000, 30_000, 10_000.4],
    purchases: [17_000, 18_000, 19_000],
    'one by one': [600, 601, 599],
  },
  latencies: { idle: { onsale: 0.834, plain: 2 }, arrival: { statuses: { 201: 9_999, 503: 1 }, p50: 2.94, p95: 4.9, p99: 8.9 } },
};

test('the page has medians with their rounds, ratios with a verdict, the latencies, and what they were measured on', () => {
  const page = resultsPage(report);
  for (const text of [
    '| versions | Node 24.0.0, Postgres 18.4 (`fsync` on, `synchronous_commit` on), wrk 4.1.0, Redis 7.0.15 |',
    '| commit | abc1234 with uncommitted changes |',
    '| nothing | 20,000 | 20,000 · 30,000 · 10,000 |',
    '| purchases / a route that does nothing | 0.90 | ≥ 0.9 | yes |',
    '| holds / purchases | 0.06 | ≥ 0.9 | **no** |',
    "| latency of one purchase on an idle system / the plain transaction's | 0.42 | ≤ 1.5 | yes |",
    '| 1,000 purchases/s for 10 s, constant arrival: p95 | 4.9 |',
    'by status: 9,999 × 201, 1 × 503.',
    '- *Mix* confirms',
  ])
    expect(page).toContain(text);
  for (const name of names) expect(figuresOf(page).has(name)).toBe(true);
  expect(page.split('\n').filter((line) => !line.startsWith('|') && line.length >= 100)).toEqual([]);
});

test('without Redis, the page says nothing of it', () => {
  const figures = Object.fromEntries(Object.entries(report.figures).filter(([name]) => name !== 'redis'));
  expect(resultsPage({ ...report, figures })).not.toContain('Redis');
});

test('a report changes the figures of the README, and nothing else of it', async () => {
  mkdirSync(join(dir, 'load'));
  const readme = readFileSync(join(checkout, 'README.md'), 'utf8');
  writeFileSync(join(dir, 'README.md'), readme);
  await writeReport(report, dir);
  const written = readFileSync(join(dir, 'README.md'), 'utf8');
  expect(written).toContain('| purchases, answers/s | 18,000 |\n| purchases / a route that does nothing | 0.90 |');
  expect(quoteFigures(written, readFileSync(join(checkout, 'load/RESULTS.md'), 'utf8'))).toBe(readme);
});
