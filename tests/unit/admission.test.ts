/**
 * Goal: the queue is bounded, in total and per key, and nobody waits past the deadline.
 * Method: work that the test ends itself, and Jest's clock for the deadline.
 */
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { Admission } from '../../src/sale/admission.js';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

const limits = { inProgressMax: 3, inProgressPerKeyMax: 2, inProgressPerKeyMin: 1, queueWaitMs: 400, deadlineMs: 1_000 };

/** A request that is served when the test says so. */
function request(admission: Admission<string>, key: string) {
  let settle!: { served: (answer: string) => void; failed: (fault: Error) => void };
  const work = new Promise<string>((served, failed) => (settle = { served, failed }));
  const answer = admission.refuses(key) === undefined ? admission.serve(key, work, () => 'late') : Promise.resolve('shed');
  return { answer, ...settle };
}

test('a key has its share of the places, and all keys together have theirs', async () => {
  const admission = new Admission<string>(limits);
  request(admission, 'a');
  request(admission, 'a');
  await expect(request(admission, 'a').answer).resolves.toBe('shed');
  request(admission, 'b');
  await expect(request(admission, 'c').answer).resolves.toBe('shed');
  expect(admission.total).toBe(3);
});

test('a place is free again when its request was served', async () => {
  const admission = new Admission<string>({ ...limits, inProgressMax: 1 });
  const first = request(admission, 'a');
  first.served('granted');
  await expect(first.answer).resolves.toBe('granted');
  const second = request(admission, 'a');
  second.served('sold too');
  await expect(second.answer).resolves.toBe('sold too');
});

test('a place is free again when its request failed', async () => {
  const admission = new Admission<string>({ ...limits, inProgressMax: 1 });
  const failing = request(admission, 'a');
  failing.failed(new Error('broken'));
  await expect(failing.answer).rejects.toThrow('broken');
  expect(admission.total).toBe(0);
});

test('at the deadline a request is answered, and its place stays taken until it has been served', async () => {
  const admission = new Admission<string>({ ...limits, inProgressMax: 1 });
  const slow = request(admission, 'a');
  await jest.advanceTimersByTimeAsync(limits.deadlineMs);
  await expect(slow.answer).resolves.toBe('late');
  await expect(request(admission, 'a').answer).resolves.toBe('shed');
  slow.served('too late');
  await jest.advanceTimersByTimeAsync(0);
  expect(admission.total).toBe(0);
});

test('closing refuses everybody and waits for those who were admitted', async () => {
  const admission = new Admission<string>(limits);
  const last = request(admission, 'a');
  let closed = false;
  const closing = admission.close().then(() => (closed = true));
  await expect(request(admission, 'b').answer).resolves.toBe('shed');
  await jest.advanceTimersByTimeAsync(0);
  expect(closed).toBe(false);
  last.served('granted');
  await closing;
  await expect(last.answer).resolves.toBe('granted');
});
