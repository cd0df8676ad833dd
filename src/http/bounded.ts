import type { RequestHandler } from 'express';
import { overloaded } from './problems.js';

/** Wraps one handler; all that are wrapped by it share a bound. */
export type Bounded = (handler: RequestHandler) => RequestHandler;

/**
 * For handlers that wait for a connection each: at most `max` of them at once, because the line for a pool has no bound of its
 * own. Whoever comes on top of that is refused at once.
 *
 * @param onRefused told of each
 */
export function bounded(max: number, onRefused: () => void): Bounded {
  let inProgress = 0;
  return (handler) => async (req, res, next) => {
    if (inProgress >= max) {
      onRefused();
      throw overloaded('Too many are asking.', 1);
    }
    inProgress += 1;
    try {
      await handler(req, res, next);
    } finally {
      inProgress -= 1;
    }
  };
}
