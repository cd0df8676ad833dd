import type { RequestHandler } from 'express';
import { semaphore } from '../../concurrency/semaphore.js';
import { overloaded } from '../contract/problems.js';

/** Wraps one handler; all handlers that it wraps share the bounds. */
export type Bounded = (handler: RequestHandler) => RequestHandler;

export interface Bounds {
  /** Requests being served or waiting for it; a request beyond them is refused at once. */
  readonly inProgressMax: number;
  /** Of those, the requests served at once: as many as have a connection. The others wait, first come, first served. */
  readonly atOnceMax: number;
  /** A request whose turn comes later than this is refused. */
  readonly waitMs: number;
}

/**
 * For handlers that each need a connection of a pool that others need too, and whose own queue has no bound.
 *
 * @param onRefused called for each request that is refused
 */
export function bounded({ inProgressMax, atOnceMax, waitMs }: Bounds, onRefused: () => void): Bounded {
  let inProgress = 0;
  const inTurn = semaphore(atOnceMax);

  function refusal(): Error {
    onRefused();
    return overloaded('Too many are asking.', 1);
  }

  return (handler) => async (req, res, next) => {
    if (inProgress >= inProgressMax) throw refusal();
    inProgress += 1;
    const untilMs = performance.now() + waitMs;
    try {
      await inTurn(async () => {
        if (performance.now() > untilMs) throw refusal();
        await handler(req, res, next);
      });
    } finally {
      inProgress -= 1;
    }
  };
}
