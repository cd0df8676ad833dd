import type { RequestHandler } from 'express';
import { rateLimit } from 'express-rate-limit';
import { rateLimited } from '../contract/requestProblems.js';

const windowMs = 60_000;
/**
 * Limits the requests per minute from one address, counted by this replica alone; for deployments without a limit at the load
 * balancer. The RateLimit fields (IETF draft 8) report how many requests are left.
 *
 * @param unlimited paths of probes and metrics, which are not limited, with or without a slash at their end
 * @param onRefused called for each request that is refused
 */
export function limitRate(requestsPerMinuteMax: number, unlimited: readonly string[], onRefused: () => void): RequestHandler {
  return rateLimit({
    windowMs,
    limit: requestsPerMinuteMax,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    skip: ({ path }) => unlimited.includes(path.replace(/\/$/, '')),
    handler: () => {
      onRefused();
      throw rateLimited(requestsPerMinuteMax);
    },
  });
}
