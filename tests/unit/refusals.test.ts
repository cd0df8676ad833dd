/** Goal: costly refusals are rarer ones. Method: answers that are never sent, with the timers and the clock of Jest. */
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { Refusals } from '../../src/http/server/refusals.js';

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

/** @returns how many refusals of this cost a rate of 100 sends in ten seconds, after its burst */
function sentInTenSeconds(tokens: number | undefined): number {
  const refusals = new Refusals(100);
  let sent = 0;
  for (let count = 0; count < 5_000; count += 1) {
    refusals.enqueue(new ServerResponse(new IncomingMessage(new Socket())), () => (sent += 1), tokens);
  }
  jest.advanceTimersByTime(1_000);
  const burst = sent;
  jest.advanceTimersByTime(10_000);
  expect(refusals.waiting).toBe(5_000 - sent);
  return sent - burst;
}

test('a refusal that takes two tokens is sent at half the rate', () => {
  expect(sentInTenSeconds(undefined)).toBe(1_000);
  expect(sentInTenSeconds(1)).toBe(1_000);
  expect(sentInTenSeconds(2)).toBe(500);
});
