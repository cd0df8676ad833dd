/** Goal: a wrong setting stops the start with a sentence that names it. Method: environments as a user would write them. */
import { expect, test } from '@jest/globals';
import { ConfigError, readConfig } from '../../src/config.js';

const complete = { DATABASE_URL: 'postgresql://localhost/onsale', ADMIN_TOKEN: 'sixteen-visible-characters' };

test('nothing set is a valid configuration, and empty strings are nothing', () => {
  expect(readConfig({})).toMatchObject({ PORT: 3000, SALE_CONNECTIONS_MAX: 8 });
  expect(readConfig({ PORT: '', DATABASE_URL: '', ADMIN_TOKEN: '' })).toEqual(readConfig({}));
});

test.each([
  [{ PORT: 'web' }, 'PORT must be a whole number.'],
  [{ PORT: '70000' }, 'PORT must be at most 65535.'],
  [{ SALE_CONNECTIONS_MAX: '0' }, 'SALE_CONNECTIONS_MAX must be at least 6.'],
  [{ DATABASE_URL: 'mysql://localhost/x', ADMIN_TOKEN: complete.ADMIN_TOKEN }, 'DATABASE_URL must start with postgresql://.'],
  [
    { ...complete, DATABASE_URL: 'postgresql://u:p@localhost:99999/x' },
    'DATABASE_URL is not a valid URL; its port must be a number, and special characters in its password must be written as %XX.',
  ],
  [{ DATABASE_URL: complete.DATABASE_URL }, 'ADMIN_TOKEN is required when DATABASE_URL is set.'],
  [{ ...complete, ADMIN_TOKEN: 'short' }, 'ADMIN_TOKEN must be at least 16 visible ASCII characters.'],
  [{ LOG_LEVEL: 'loud' }, 'LOG_LEVEL must be one of fatal, error, warn, info, debug, silent.'],
  [{ LOCK_TIMEOUT_MS: '2000' }, 'LOCK_TIMEOUT_MS (2000) must be less than STATEMENT_TIMEOUT_MS (2000).'],
  [{ PURCHASE_DEADLINE_MS: '20000' }, 'PURCHASE_DEADLINE_MS (20000) must be less than REQUEST_TIMEOUT_MS (10000).'],
  [{ READ_CONNECTIONS_MAX: '2' }, 'READ_CONNECTIONS_MAX must be at least 3.'],
  [{ OPERATIONS_PORT: '3000' }, 'OPERATIONS_PORT (3000) must differ from PORT; unset, probes and metrics are on PORT.'],
  [{ OPERATIONS_PORT: '-1' }, 'OPERATIONS_PORT must be at least 0.'],
  [
    { EVENT_PURCHASES_IN_PROGRESS_MIN: '3000', EVENT_PURCHASES_IN_PROGRESS_MAX: '2500' },
    'EVENT_PURCHASES_IN_PROGRESS_MIN (3000) must not exceed EVENT_PURCHASES_IN_PROGRESS_MAX (2500).',
  ],
  [{ AUDIT_TIMEOUT_MS: '58000' }, 'AUDIT_TIMEOUT_MS plus 2000 (60000) must be less than SOCKET_TIMEOUT_MS (60000).'],
  [
    { DATABASE_URL: 'postgresql://host/onsale?sslmode=on', ADMIN_TOKEN: 'a-token-of-the-environment' },
    'DATABASE_URL has the unknown sslmode "on"; use one of disable, prefer, require, verify-ca, verify-full, no-verify.',
  ],
  [{ EVENT_PURCHASES_IN_PROGRESS_MAX: '30000' }, 'EVENT_PURCHASES_IN_PROGRESS_MAX must not exceed PURCHASES_IN_PROGRESS_MAX.'],
])('%j stops the start', (env, sentence) => {
  expect(() => readConfig(env)).toThrow(new ConfigError(sentence));
});

test('probes and metrics are on PORT unless set otherwise, and both ports may be free ones', () => {
  expect(readConfig({}).OPERATIONS_PORT).toBeUndefined();
  expect(readConfig({ PORT: '0', OPERATIONS_PORT: '0' })).toMatchObject({ PORT: 0, OPERATIONS_PORT: 0 });
});

test('one address has a share of the connections, whatever their number, except where a proxy is trusted', () => {
  expect(readConfig({})).toMatchObject({ CONNECTIONS_PER_ADDRESS_MAX: 1_875, connectionsPerLoopbackAddressMax: 12_000 });
  expect(readConfig({ CONNECTIONS_MAX: '1' }).CONNECTIONS_PER_ADDRESS_MAX).toBe(1);
  expect(readConfig({ TRUST_PROXY_HOPS: '1' }).CONNECTIONS_PER_ADDRESS_MAX).toBe(0);
  expect(readConfig({ TRUST_PROXY_HOPS: '1' }).connectionsPerLoopbackAddressMax).toBe(0);
  const explicit = readConfig({ TRUST_PROXY_HOPS: '1', CONNECTIONS_PER_ADDRESS_MAX: '70' });
  expect(explicit).toMatchObject({ CONNECTIONS_PER_ADDRESS_MAX: 70, connectionsPerLoopbackAddressMax: 70 });
});

test('the floor of an event does not exceed its limit when only the limit is set', () => {
  expect(readConfig({}).EVENT_PURCHASES_IN_PROGRESS_MIN).toBe(2_000);
  expect(readConfig({ EVENT_PURCHASES_IN_PROGRESS_MAX: '500' }).EVENT_PURCHASES_IN_PROGRESS_MIN).toBe(500);
});

test.each([
  ['sslmode=require', 'sslmode=verify-full'],
  ['sslmode=no-verify', 'sslmode=no-verify'],
  ['uselibpqcompat=true&sslmode=require', 'uselibpqcompat=true&sslmode=require'],
])('%s is passed on as %s, which pg does the same with and without a warning', (given, passed) => {
  const url = 'postgresql://host/onsale?';
  expect(readConfig({ DATABASE_URL: url + given, ADMIN_TOKEN: 'a-token-of-the-environment' }).DATABASE_URL).toBe(url + passed);
});
