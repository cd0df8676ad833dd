/** Goal: whoever does not take a complete answer is cut off, and nobody else. Method: Jest's clock, answers in every state. */
import { EventEmitter } from 'node:events';
import type { Server, ServerResponse } from 'node:http';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { cutSlowReaders } from '../../src/http/server/slowReaders.js';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

test('an answer that was given and is not taken in time ends its connection; one that is being made or waits its turn does not', () => {
  const answer = (writableEnded: boolean, hasTurn = true) => ({ writableEnded, socket: hasTurn ? { destroy: jest.fn() } : null });
  const [given, inTheMaking, behindAnother] = [answer(true), answer(false), answer(true, false)];
  const unanswered = [given, inTheMaking, behindAnother];
  const server: unknown = new EventEmitter();
  cutSlowReaders(server as Server, unanswered as unknown as ServerResponse[], 5_000);

  jest.advanceTimersByTime(5_900);
  expect(given.socket!.destroy).not.toHaveBeenCalled();
  jest.advanceTimersByTime(1_200);
  expect(given.socket!.destroy).toHaveBeenCalled();
  jest.advanceTimersByTime(60_000);
  expect(inTheMaking.socket!.destroy).not.toHaveBeenCalled();

  const turn = { destroy: jest.fn() };
  behindAnother.socket = turn;
  jest.advanceTimersByTime(4_000);
  expect(turn.destroy).not.toHaveBeenCalled();
  jest.advanceTimersByTime(4_000);
  expect(turn.destroy).toHaveBeenCalled();

  (server as EventEmitter).emit('close');
  expect(jest.getTimerCount()).toBe(0);
});
