import type { RequestHandler } from 'express';
import { rateLimit } from 'express-rate-limit';
import { Problem } from '../contract/problems.js';

const windowMs = 60_000;
/**
 * So many requests a minute from one address, counted by this replica alone; for those who have no limit at their load
 * balancer. Says how many are left in the RateLimit fields (IETF draft 8).
 *
 * @param unlimited paths of those who watch the replica, for they are not its clients
 * @param onRefused told of each request that was one too many
 */
export function limitRate(requestsPerMinuteMax: number, unlimited: readonly string[], onRefused: () => void): RequestHandler {
  return rateLimit({
    windowMs,
    limit: requestsPerMinuteMax,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    skip: ({ path }) => unlimited.includes(path),
    handler: () => {
      onRefused();
      throw new Problem('rate-limited', `One client may send ${String(requestsPerMinuteMax)} requests a minute.`);
    },
  });
}
