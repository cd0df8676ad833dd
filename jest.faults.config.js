/** The fault suite: processes and servers of its own, one scenario after the other, and a table at the end. */
import base from './jest.config.js';

export default {
  ...base,
  roots: ['<rootDir>/tests/faults'],
  testMatch: ['**/*.faults.ts'],
  globalSetup: '<rootDir>/tests/faults/globalSetup.mjs',
  globalTeardown: '<rootDir>/tests/faults/globalTeardown.mjs',
  reporters: [['default', {}], '<rootDir>/tests/faults/reporter.mjs'],
  testTimeout: 120_000,
  maxWorkers: 1,
};
