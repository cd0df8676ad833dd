/**
 * Goal: faults of the database are logged so that an operator learns of each kind at once, and never more than one further line per
 * interval.
 * Method: a log that keeps its lines; the test ends the intervals.
 */
import { beforeEach, expect, test } from '@jest/globals';
import type { Fault } from '../../src/db/faults.js';
import { FaultLog } from '../../src/observability/faultLog.js';

interface Line {
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

const forEver = 3_600_000;
const transient = (name: string): Fault => ({ sqlState: '57P01', name, transient: true, undone: false });
const lost = transient('admin_shutdown');
const error = new Error('terminating connection');
const carried = (eventId: string, requests: number, failedBefore = false) => ({ eventId, requests, path: 'fast', failedBefore }) as const;

let lines: Line[];
let faults: FaultLog;
const log = { warn: (details: object, message: string) => lines.push({ message, details: { ...details } }) };

beforeEach(() => {
  lines = [];
  faults = new FaultLog(log, forEver);
});

test('the first fault of a kind is logged with its event, its requests, its path and its cause', () => {
  faults.failed('a batch', lost, error, carried('event-1', 12));
  expect(lines).toEqual([
    {
      message: 'a batch failed; it is repeated',
      details: { fault: 'admin_shutdown', sqlstate: '57P01', event_id: 'event-1', requests: 12, path: 'fast', err: undefined },
    },
  ]);
});

test('a fault that is not repeated is logged with its error, and confirmations of several events without an event', () => {
  const permanent: Fault = { sqlState: '23514', name: 'violates a check', transient: false, undone: true };
  faults.failed('a batch', permanent, error, { eventId: '', requests: 3, path: 'confirm', failedBefore: false });
  expect(lines).toMatchObject([{ message: 'a batch failed', details: { fault: 'violates a check', event_id: undefined, err: error } }]);
});

test('a thousand repeats are one line, which counts each batch and each request once', () => {
  faults.failed('a batch', lost, error, carried('event-1', 12));
  for (let attempt = 0; attempt < 998; attempt += 1) faults.failed('a batch', lost, error, carried('event-1', 12, true));
  faults.failed('a batch', lost, error, carried('event-2', 30));
  faults.failed('a batch', lost, error, carried('event-2', 30, true));
  expect(lines).toHaveLength(1);
  faults.summarise();
  expect(lines.slice(1)).toMatchObject([
    {
      message: 'database faults were repeated',
      details: { faults: [{ work: 'a batch', fault: 'admin_shutdown', attempts: 1_000, batches: 1, requests: 30, events: 2 }] },
    },
  ]);
  expect(Date.parse(String(lines[1]!.details['since']))).toBeGreaterThan(0);
});

test('all kinds share the line of an interval; each has a first line of its own', () => {
  const refused = transient('cannot_connect_now');
  for (let round = 0; round < 3; round += 1) {
    faults.failed('a batch', lost, error, carried('event-1', 1));
    faults.failed('a batch', refused, error, carried('event-1', 1));
    faults.failed('a sweep of expired holds', lost, error);
  }
  faults.summarise();
  expect(lines).toHaveLength(4);
  expect(lines[3]!.details['faults']).toEqual([
    { work: 'a batch', fault: 'admin_shutdown', attempts: 2, batches: 2, requests: 2, events: 1, event_id: 'event-1' },
    { work: 'a batch', fault: 'cannot_connect_now', attempts: 2, batches: 2, requests: 2, events: 1, event_id: 'event-1' },
    { work: 'a sweep of expired holds', fault: 'admin_shutdown', attempts: 2 },
  ]);
});

test('faults that go on are summed up per interval; a kind that did not occur in one is a first one again', () => {
  faults.failed('a batch', lost, error);
  for (let interval = 0; interval < 2; interval += 1) {
    faults.failed('a batch', lost, error);
    faults.summarise();
  }
  expect(lines.map(({ message }) => message)).toEqual([
    'a batch failed; it is repeated',
    'database faults were repeated',
    'database faults were repeated',
  ]);
  faults.summarise();
  expect(lines).toHaveLength(3);
  faults.failed('a batch', lost, error);
  expect(lines[3]!.message).toBe('a batch failed; it is repeated');
});

test('a fault that repeats after the interval in which it was first seen is a repeat', () => {
  faults.failed('a batch', lost, error);
  faults.summarise();
  faults.failed('a batch', lost, error);
  expect(lines).toHaveLength(1);
  faults.summarise();
  expect(lines[1]!.details['faults']).toEqual([{ work: 'a batch', fault: 'admin_shutdown', attempts: 1 }]);
});

test('repeats are summed up when the faults have stopped, and when the replica closes', async () => {
  const short = new FaultLog(log, 5);
  short.failed('a batch', lost, error);
  short.failed('a batch', lost, error);
  while (lines.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  short.close();
  faults.failed('a batch', lost, error);
  faults.failed('a batch', lost, error);
  faults.close();
  expect(lines.map(({ message }) => message).slice(2)).toEqual(['a batch failed; it is repeated', 'database faults were repeated']);
});

test('the numbers of kinds and of events that are distinguished are bounded', () => {
  for (let kind = 0; kind < 1_000; kind += 1) faults.failed('a batch', transient(`fault ${String(kind)}`), error);
  expect(lines).toHaveLength(21);
  for (let event = 0; event < 2_000; event += 1)
    faults.failed('a batch', transient('fault 0'), error, carried(`event-${String(event)}`, 1));
  faults.summarise();
  expect(lines.at(-1)!.details['faults']).toMatchObject([
    { fault: 'fault 0', attempts: 2_000, requests: 2_000, events: 1_000 },
    { fault: 'further faults', attempts: 979 },
  ]);
});
