import type { RequestHandler } from 'express';
import { semaphore } from '../../concurrency/semaphore.js';
import { tooMany } from '../contract/requestProblems.js';

/** Wraps one handler; all handlers that it wraps share the bounds. */
export type Bounded = (handler: RequestHandler) => RequestHandler;

export interface Bounds {
  /** Requests being served or waiting; any further request is refused at once. */
  readonly inProgressMax: number;
  /** Of those, the requests served concurrently, one per database connection. The others wait, first come, first served. */
  readonly atOnceMax: number;
  /** A request that has waited longer than this is refused. */
  readonly waitMs: number;
}

/**
 * Bounds handlers that need a connection of a shared pool, because the pool's own queue is unbounded.
 *
 * @param onRefused called for each request that is refused
 */
export function bounded({ inProgressMax, atOnceMax, waitMs }: Bounds, onRefused: () => void): Bounded {
  let inProgress = 0;
  const whenFree = semaphore(atOnceMax);

  function refusal(): Error {
    onRefused();
    return tooMany('requests', 1);
  }

  return (handler) => async (req, res, next) => {
    if (inProgress >= inProgressMax) throw refusal();
    inProgress += 1;
    const untilMs = performance.now() + waitMs;
    try {
      await whenFree(async () => {
        if (performance.now() > untilMs) throw refusal();
        await handler(req, res, next);
      });
    } finally {
      inProgress -= 1;
    }
  };
}
