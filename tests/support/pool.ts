import { type ConnectionGroup, openPool, type Pool, type PoolLimits } from '../../src/db/client.js';

/** Of the default configuration. */
export const defaultLimits: PoolLimits = {
  connectionsMax: 8,
  connectTimeoutMs: 1_500,
  lockTimeoutMs: 1_000,
  statementTimeoutMs: 2_000,
  transactionTimeoutMs: 3_000,
  clientDeadlineMs: 4_000,
  readFenceMs: 500,
  connectionAgeMaxMs: 60_000,
};

/** A pool with the default limits, except those given. */
export function openTestPool(url: string, limits: Partial<PoolLimits> = {}, group?: ConnectionGroup): Pool {
  return openPool(url, 'onsale under test', { ...defaultLimits, ...limits }, group);
}

/** Longer than any wait that a test arranges, so that a session is blocked for as long as the test wants. */
export const patientLimits = {
  connectTimeoutMs: 15_000,
  lockTimeoutMs: 15_000,
  statementTimeoutMs: 16_000,
  transactionTimeoutMs: 17_000,
  clientDeadlineMs: 18_000,
};
