import type { RequestHandler } from 'express';
import { overloaded } from '../contract/problems.js';

/** An answer counts as in progress for at least this long, even if its client reads it faster. */
const heldMsMin = 1_000;

/**
 * Bounds the documentation answers in progress. Each counts until its client has read it, and for at least a second, so that the
 * bound also limits answers per second: large answers that are read quickly cost processor time.
 *
 * @param onRefused called for each request that is refused
 */
export function docsShare(inProgressMax: number, onRefused: () => void): RequestHandler {
  let inProgress = 0;
  return (req, res, next) => {
    if (inProgress >= inProgressMax) {
      onRefused();
      throw overloaded('Too many requests for the documentation are in progress.', 1);
    }
    inProgress += 1;
    const { socket } = req;
    const freeAtMsMin = performance.now() + heldMsMin;
    const free = () => {
      inProgress -= 1;
    };
    const finish = () => {
      res.off('close', finish);
      socket.off('close', finish);
      setTimeout(free, Math.max(0, freeAtMsMin - performance.now())).unref();
    };
    // When a connection closes with several answers outstanding, Node closes only the first of them.
    res.once('close', finish);
    socket.once('close', finish);
    next();
  };
}
