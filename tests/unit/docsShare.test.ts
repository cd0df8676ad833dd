/** Goal: a place in the share is held until the answer was taken, and for a second at least. Method: Jest's clock. */
import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import type { Request, Response } from 'express';
import { docsShare } from '../../src/http/middleware/docsShare.js';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

/** @returns asks on a connection, and gives the answer that is to be taken, or the code of the refusal */
function stage(inProgressMax: number) {
  const onRefused = jest.fn();
  const share = docsShare(inProgressMax, onRefused);
  const ask = (socket = new EventEmitter()): { readonly res: EventEmitter; readonly socket: EventEmitter } | string => {
    const res = new EventEmitter();
    const next = jest.fn();
    try {
      void share({ socket } as unknown as Request, res as unknown as Response, next);
    } catch (refusal) {
      return (refusal as { code: string }).code;
    }
    expect(next).toHaveBeenCalledTimes(1);
    return { res, socket };
  };
  const admitted = (socket?: EventEmitter) => {
    const asked = ask(socket);
    if (typeof asked === 'string') throw new Error(asked);
    return asked;
  };
  return { ask, admitted, onRefused };
}

test('whoever finds no place is refused', () => {
  const { ask, admitted, onRefused } = stage(2);
  admitted();
  admitted();
  expect([ask(), ask()]).toEqual(['overloaded', 'overloaded']);
  expect(onRefused).toHaveBeenCalledTimes(2);
});

test('an answer that was taken at once frees its place after a second', () => {
  const { ask, admitted } = stage(1);
  const { res, socket } = admitted();
  res.emit('close');
  jest.advanceTimersByTime(999);
  expect(ask()).toBe('overloaded');
  jest.advanceTimersByTime(1);
  admitted();
  socket.emit('close'); // of the first, which has freed its place already
  jest.advanceTimersByTime(10_000);
  expect(ask()).toBe('overloaded');
});

test('an answer that is not taken holds its place until its connection is closed', () => {
  const { ask, admitted } = stage(2);
  const { socket } = admitted();
  admitted(socket); // pipelined: Node does not close its answer when the connection closes
  jest.advanceTimersByTime(60_000);
  expect(ask()).toBe('overloaded');
  socket.emit('close');
  jest.advanceTimersByTime(0);
  admitted();
  admitted();
  expect(ask()).toBe('overloaded');
  expect(socket.listenerCount('close')).toBe(0);
});
