import type { RequestHandler } from 'express';
import { overloaded } from '../contract/problems.js';

/** However fast the answer was taken, its place is free only after this. */
const heldMsMin = 1_000;

/**
 * So many requests at once, each until its client has taken the whole answer, and for a second at least: the bound is also one
 * of answers per second, since large ones that are taken quickly cost processor time.
 *
 * @param onRefused told of each request that finds no place
 */
export function docsShare(inProgressMax: number, onRefused: () => void): RequestHandler {
  let inProgress = 0;
  return (req, res, next) => {
    if (inProgress >= inProgressMax) {
      onRefused();
      throw overloaded('Too many are reading the documentation.', 1);
    }
    inProgress += 1;
    const { socket } = req;
    const takenAtMsMin = performance.now() + heldMsMin;
    const free = () => {
      inProgress -= 1;
    };
    const taken = () => {
      res.off('close', taken);
      socket.off('close', taken);
      setTimeout(free, Math.max(0, takenAtMsMin - performance.now())).unref();
    };
    // Of several answers that wait on a connection that closes, Node closes only the first.
    res.once('close', taken);
    socket.once('close', taken);
    next();
  };
}
