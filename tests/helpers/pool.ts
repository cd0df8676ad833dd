import { type ConnectionGroup, openPool, type Pool, type PoolLimits } from '../../src/db/client.js';

/** A pool with the limits of the default configuration, except as told. */
export function openTestPool(url: string, limits: Partial<PoolLimits> = {}, group?: ConnectionGroup): Pool {
  const defaults: PoolLimits = {
    connectionsMax: 6,
    connectTimeoutMs: 1_500,
    lockTimeoutMs: 1_000,
    statementTimeoutMs: 2_000,
    transactionTimeoutMs: 3_000,
    clientDeadlineMs: 4_000,
    readFenceMs: 500,
    connectionAgeMaxMs: 60_000,
  };
  return openPool(url, 'onsale under test', { ...defaults, ...limits }, group);
}
