/**
 * Goal: an operator who stops a replica reads what it waits for, for how long at most, what is left, and that it has ended.
 * Method: counts that the test chooses, and the lines that they lead to.
 */
import { beforeEach, expect, test } from '@jest/globals';
import { reportStop } from '../../src/stopping.js';

let lines: [details: object, sentence: string][];
const tell = (...line: [object, string]) => lines.push(line);
const times = { listensForMs: 0, answersForMs: 15_000 };
const forEver = 3_600_000;

beforeEach(() => {
  lines = [];
});

test.each([
  [0, 0, 'no request is in progress'],
  [1, 0, 'it waits for 1 request'],
  [3, 1, 'it waits for 2 requests and 1 download'],
  [2, 2, 'it waits for 2 downloads'],
])('with %i answers owed, of which %i are downloads, %s', (unanswered, downloads, waits) => {
  reportStop({ unanswered: new Set(Array.from({ length: unanswered }).keys()), downloads }, times, tell, forEver).ended();
  expect(lines[0]).toEqual([
    { requests: unanswered - downloads, downloads, longest_ms: 15_000 },
    `onsale is stopping: ${waits}, at most 15 s. A second Ctrl-C ends it at once.`,
  ]);
});

test('the time for load balancers is mentioned, and part of the longest time', () => {
  reportStop({ unanswered: [], downloads: 0 }, { ...times, listensForMs: 2_500 }, tell, forEver).ended();
  expect(lines[0]![1]).toBe(
    'onsale is stopping: it accepts requests for 2.5 s more; no request is in progress, at most 17.5 s. A second Ctrl-C ends it at once.',
  );
});

test('what is left is reported again and again, until one line says that it has ended', async () => {
  const unanswered = new Set(['a', 'b']);
  const report = reportStop({ unanswered, downloads: 0 }, times, tell, 2);
  const until = async (part: string) => {
    while (!lines.at(-1)![1].includes(part)) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  await until('it still waits for 2 requests.');
  unanswered.delete('a');
  await until('it still waits for 1 request.');
  unanswered.clear();
  await until('no request is left; it closes its connections and its database.');
  report.ended();
  const [details, sentence] = lines.at(-1)!;
  expect(sentence).toMatch(/^onsale has stopped after [\d.]+ s\.$/);
  expect(details).toEqual({ took_ms: expect.any(Number) });
  const count = lines.length;
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(lines).toHaveLength(count);
});
