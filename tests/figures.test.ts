/**
 * Goal: a figure of the benchmark stands in load/RESULTS.md, and elsewhere only where the benchmark itself wrote it.
 * Method: the documents, read as text. The README's table is written again from load/RESULTS.md and must come out the same. What
 * remains is searched for anything that looks like a throughput, a percentile or a ratio of speeds. What is no figure of the
 * benchmark is listed below with its reason.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { quoteFigures, withoutQuotes } from '../load/bench/quotes.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const documents = ['.', 'docs', 'deploy', 'load', 'tests']
  .flatMap((folder) => readdirSync(join(root, folder)).map((name) => join(folder, name)))
  .filter((path) => path.endsWith('.md') && path !== 'load/RESULTS.md');

const figure = String.raw`\d[\d,.]*(?: ?(?:k|thousand|million)\b)?`;
const perSecond = String.raw`(?: ?\/ ?s\b| (?:a|per|each|every) second\b)`;
const patterns = {
  // "19,537/s", "19,537 purchases a second", "20k held tickets per second"
  throughput: new RegExp(String.raw`\b${figure}(?: [\w-]+){0,3}?${perSecond}`, 'gi'),
  // A column of throughputs has its unit in its heading, above a line of dashes.
  column: new RegExp(String.raw`^\|.*\|[^|]*[a-z)]${perSecond}.*\|$(?=\n\|[-:|]+$)`, 'gim'),
  // "p95 4.9 ms", "p95 below 5 ms"
  percentile: /\bp(?:50|95|99)\b[^|.;\n]{0,20}?\d[\d,.]* ?(?:µs|ms|s)\b/g,
  // "32 times as fast", "0.83 of the throughput", "1.8 times plain Express"
  ratio:
    /\b\d+(?:\.\d+)?(?: ?%| ?×| times)? (?:as (?:fast|many|much)|faster|slower|of (?:the|a|its) (?:\w+ )?(?:throughput|speed|rate)|the (?:throughput|speed))\b|\b\d+\.\d+ (?:times|of) (?:a route|plain|one transaction|Redis)\b/gi,
};
type Kind = keyof typeof patterns;

interface Allowed {
  readonly page: string;
  readonly kind: Kind;
  /** All or a part of a line. */
  readonly line: RegExp;
  readonly because: string;
}

const allowed: readonly Allowed[] = [
  { page: 'docs/operating.md', kind: 'throughput', line: /^Suppose that one event sells 10,000 /, because: 'assumed, to show how to size' },
  { page: 'docs/operating.md', kind: 'throughput', line: /10,000 \/ 100 +=/, because: 'follows from the assumption' },
  { page: 'docs/operating.md', kind: 'throughput', line: /2,000 requests at 1,000 a second are 2 s/, because: 'an example of division' },
  { page: 'docs/operating.md', kind: 'throughput', line: /200 visitors a second for 75 s/, because: 'an example of a setting' },
  { page: 'load/README.md', kind: 'throughput', line: /45,000 refusals a$/, because: 'what a goal would need, by arithmetic' },
  {
    page: 'load/README.md',
    kind: 'percentile',
    line: /^\| `[\w-]+\.js`/,
    because: 'thresholds and latencies of k6 scripts, as k6 measures them',
  },
];

/** Line breaks may divide a figure from its unit; the lines are those on which it begins. */
function figuresIn(text: string) {
  return (Object.keys(patterns) as Kind[]).flatMap((kind) =>
    [...text.replaceAll(/\n(?=[a-z/])/g, ' ').matchAll(new RegExp(patterns[kind]))].map((match) => {
      const line = text.slice(text.lastIndexOf('\n', match.index) + 1).split('\n')[0]!;
      return { kind, found: match[0], line };
    }),
  );
}

const stated = documents.flatMap((page) => figuresIn(withoutQuotes(read(page))).map((found) => ({ page, ...found })));
const permits = (entry: Allowed, one: (typeof stated)[number]) =>
  entry.page === one.page && entry.kind === one.kind && entry.line.test(one.line);

test('the table of figures in the README is that of load/RESULTS.md', () => {
  expect(quoteFigures(read('README.md'), read('load/RESULTS.md'))).toBe(read('README.md'));
});

test('no document states a figure of speed of its own', () => {
  const own = stated.filter((one) => !allowed.some((entry) => permits(entry, one)));
  expect(own).toEqual([]);
});

test('every exception is still needed', () => {
  expect(allowed.filter((entry) => !stated.some((one) => permits(entry, one)))).toEqual([]);
});

test.each([
  ['throughput', 'It sells 19,537 purchases/s.'],
  ['throughput', 'It sells 20k purchases a second.'],
  ['throughput', 'about 20 thousand held tickets\nper second'],
  ['throughput', 'refuses 503 answers/s'],
  ['throughput', '| sold | 17,844/s |'],
  ['column', '| form | holds/s |\n|---|---:|\n| a | 1 |'],
  ['column', '| form | holds per second | more |\n|---|---:|---|\n| a | 1 | |'],
  ['percentile', 'answers with a p95 of 4.9 ms'],
  ['percentile', 'p50 2.9 ms'],
  ['ratio', 'It is 32.41 times as fast as a transaction for each request.'],
  ['ratio', 'sells at 0.83 of the throughput of a route that does nothing'],
  ['ratio', 'reaches 0.83 of a route that does nothing'],
  ['ratio', '80 % faster than Express'],
])('a %s is found in %j', (kind, text) => {
  expect(figuresIn(text).map((one) => one.kind)).toContain(kind);
});

test('a quoted figure that differs from load/RESULTS.md is found', () => {
  const readme = read('README.md');
  const changed = readme.replace(/(\| purchases, answers\/s \| \d)/, '$19');
  expect(changed).not.toBe(readme);
  expect(quoteFigures(changed, read('load/RESULTS.md'))).toBe(readme);
});
