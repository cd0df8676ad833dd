/** Replicas as processes behind HAProxy, killed, drained, added and updated under load. Skipped where there is no HAProxy. */
import base from './jest.config.js';

export default {
  ...base,
  roots: ['<rootDir>/tests/replicas'],
  testMatch: ['**/*.replicas.ts'],
  globalSetup: '<rootDir>/tests/faults/globalSetup.mjs',
  globalTeardown: '<rootDir>/tests/faults/globalTeardown.mjs',
  testTimeout: 150_000,
  maxWorkers: 1,
};
