import type { RequestHandler } from 'express';
import { Batcher } from '../concurrency/batcher.js';
import { overloaded } from './problems.js';

/** Wraps one handler; all that are wrapped by it share the bounds. */
export type Bounded = (handler: RequestHandler) => RequestHandler;

export interface Bounds {
  /** Requests that are served or wait for it; whoever comes on top of them is refused at once. */
  readonly inProgressMax: number;
  /** Of those, so many are served at once: as many connections are theirs. The others wait, first come first served. */
  readonly atOnceMax: number;
  /** Whoever would begin later than that is refused. */
  readonly waitMs: number;
}

interface Waiting {
  readonly untilMs: number;
  readonly serve: () => unknown;
}

/**
 * For handlers that wait for a connection each, of a pool that others need too and whose own line has no bound.
 *
 * @param onRefused told of each
 */
export function bounded({ inProgressMax, atOnceMax, waitMs }: Bounds, onRefused: () => void): Bounded {
  let inProgress = 0;
  const line = new Batcher<'all', Waiting, 'served' | 'late'>({
    run: async (_all, turns) => {
      await Promise.all(turns.map(({ serve }) => serve()));
      return turns.map(() => 'served');
    },
    expired: ({ untilMs }) => (performance.now() > untilMs ? 'late' : undefined),
    batchSizeMax: 1,
    runningPerKeyMax: atOnceMax,
  });

  function refusal(): Error {
    onRefused();
    return overloaded('Too many are asking.', 1);
  }

  return (handler) => async (req, res, next) => {
    if (inProgress >= inProgressMax) throw refusal();
    inProgress += 1;
    try {
      const turn = await line.submit('all', { untilMs: performance.now() + waitMs, serve: () => handler(req, res, next) });
      if (turn === 'late') throw refusal();
    } finally {
      inProgress -= 1;
    }
  };
}
