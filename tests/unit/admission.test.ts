/**
 * Goal: the line is bounded, in total and per key, and nobody waits past the deadline.
 * Method: work that the test ends itself, and Jest's clock for the deadline.
 */
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { Admission, isLate, type Admittable, type Place } from '../../src/sale/admission.js';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

const limits = { lineMax: 3, lineMaxPerKey: 2, lineMinPerKey: 1, waitMs: 400, deadlineMs: 1_000 };

/** A request that is served when the test says so. */
function request(): Admittable<string> & { served: (answer: string) => void; place: () => Place } {
  let served: (answer: string) => void = () => undefined;
  let place: Place;
  const work = new Promise<string>((resolve) => {
    served = resolve;
  });
  return {
    serve: (given) => {
      place = given;
      return work;
    },
    shed: () => 'shed',
    late: ({ started }) => (started ? 'unknown' : 'late'),
    served: (answer) => {
      served(answer);
    },
    place: () => place,
  };
}

test('a key has its share of the line, and all keys together have theirs', async () => {
  const admission = new Admission<string>(limits);
  void admission.admit('a', request());
  void admission.admit('a', request());
  await expect(admission.admit('a', request())).resolves.toBe('shed');
  void admission.admit('b', request());
  await expect(admission.admit('c', request())).resolves.toBe('shed');
  expect(admission.total).toBe(3);
});

test('a place is free again when its request was served', async () => {
  const admission = new Admission<string>({ ...limits, lineMax: 1 });
  const first = request();
  const answer = admission.admit('a', first);
  first.served('sold');
  await expect(answer).resolves.toBe('sold');
  const second = request();
  const next = admission.admit('a', second);
  second.served('sold too');
  await expect(next).resolves.toBe('sold too');
});

test('a place is free again when its request failed', async () => {
  const admission = new Admission<string>({ ...limits, lineMax: 1 });
  const failing = { ...request(), serve: () => Promise.reject(new Error('broken')) };
  await expect(admission.admit('a', failing)).rejects.toThrow('broken');
  expect(admission.total).toBe(0);
});

test('at the deadline a waiting request is answered, and its place stays taken until it is off the line', async () => {
  const admission = new Admission<string>({ ...limits, lineMax: 1 });
  const slow = request();
  const answer = admission.admit('a', slow);
  await jest.advanceTimersByTimeAsync(limits.deadlineMs);
  await expect(answer).resolves.toBe('late');
  expect(isLate(slow.place())).toBe(true);
  await expect(admission.admit('a', request())).resolves.toBe('shed');
  slow.served('too late');
  await jest.advanceTimersByTimeAsync(0);
  expect(admission.total).toBe(0);
});

test('at the deadline a request that a transaction carries is answered as unknown', async () => {
  const admission = new Admission<string>(limits);
  const carried = request();
  const answer = admission.admit('a', carried);
  carried.place().started = true;
  await jest.advanceTimersByTimeAsync(limits.deadlineMs);
  await expect(answer).resolves.toBe('unknown');
});

test('closing refuses everybody and waits for those who were admitted', async () => {
  const admission = new Admission<string>(limits);
  const last = request();
  const answer = admission.admit('a', last);
  let closed = false;
  const closing = admission.close().then(() => (closed = true));
  await expect(admission.admit('b', request())).resolves.toBe('shed');
  await jest.advanceTimersByTimeAsync(0);
  expect(closed).toBe(false);
  last.served('sold');
  await closing;
  await expect(answer).resolves.toBe('sold');
});

test('who was answered at the deadline can no longer be carried by a transaction, whatever the clock says', async () => {
  const admission = new Admission<string>(limits);
  const waiting = request();
  const answer = admission.admit('a', waiting);
  await jest.advanceTimersByTimeAsync(limits.deadlineMs);
  await expect(answer).resolves.toBe('late');
  // A timer may fire up to a millisecond before the clock has reached the deadline.
  const early = { ...waiting.place(), deadlineAtMs: performance.now() + 1 };
  expect(early.answered).toBe(true);
  expect(isLate(early)).toBe(true);
});

test('a transaction does not begin to carry who has less than a fifth of the time left', async () => {
  const admission = new Admission<string>(limits);
  const waiting = request();
  void admission.admit('a', waiting);
  await jest.advanceTimersByTimeAsync(limits.deadlineMs * 0.79);
  expect(admission.isTooLateToBegin(waiting.place())).toBe(false);
  await jest.advanceTimersByTimeAsync(limits.deadlineMs * 0.02);
  expect(admission.isTooLateToBegin(waiting.place())).toBe(true);
  expect(isLate(waiting.place())).toBe(false);
});
