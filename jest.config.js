/** Real Postgres, ES modules. One database server for the run, one database for each file that asks for it. */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/tests'],
  testMatch: ['**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  // The compiler's own module names end in .js; the sources end in .ts.
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: { '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'es6' } }] },
  globalSetup: '<rootDir>/tests/support/globalSetup.mjs',
  globalTeardown: '<rootDir>/tests/support/globalTeardown.mjs',
  // A test that hangs on a lock should say so itself, by the server's own limits, well before this.
  testTimeout: 30_000,
  maxWorkers: 2,
  // Modules of files that are done stay in the heap. A worker beyond a gigabyte collects garbage for seconds on a busy machine,
  // and does not end within the half second after which Jest reports that it was forced to.
  workerIdleMemoryLimit: '400MB',
};
