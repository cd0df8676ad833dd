/** Goal: half a configuration of tokens never starts. Method: environments as a user would write them. */
import { expect, test } from '@jest/globals';
import { ConfigError, readConfig } from '../../src/config.js';

const secret = 'a-secret-of-thirty-two-bytes-or-more';
const claims = { BUYER_JWT_ISSUER: 'https://issuer.example', BUYER_JWT_AUDIENCE: 'onsale' };
const url = 'https://issuer.example/.well-known/jwks.json';

test.each([
  [{ BUYER_JWT_SECRET: secret, ...claims }],
  [{ BUYER_JWT_SECRET: 'é'.repeat(16), ...claims }],
  [{ BUYER_JWKS_URL: url, ...claims }],
  [{ BUYER_JWKS_URL: 'http://issuer:8080/keys?tenant=1', ...claims }],
  [{ SELLER_TOKEN: 'sixteen-characters' }],
  [{ BUYER_JWT_SECRET: '', BUYER_JWKS_URL: '', BUYER_JWT_ISSUER: '', BUYER_JWT_AUDIENCE: '', SELLER_TOKEN: '' }],
])('%j is a valid configuration', (env) => {
  const given = Object.entries(env).filter(([, value]) => value !== '');
  expect(readConfig(env)).toMatchObject(Object.fromEntries(given));
});

test.each([
  [{ BUYER_JWT_SECRET: 'x'.repeat(31), ...claims }, 'BUYER_JWT_SECRET must have at least 32 bytes.'],
  [{ BUYER_JWKS_URL: 'ftp://issuer.example/keys', ...claims }, 'BUYER_JWKS_URL must start with https:// or http://.'],
  [{ BUYER_JWKS_URL: 'https://', ...claims }, 'BUYER_JWKS_URL must be a valid URL without a user and a password.'],
  [{ BUYER_JWKS_URL: 'https://me:secret@issuer/keys', ...claims }, 'BUYER_JWKS_URL must be a valid URL without a user and a password.'],
  [
    { BUYER_JWT_SECRET: secret, BUYER_JWKS_URL: url, ...claims },
    'BUYER_JWT_SECRET and BUYER_JWKS_URL exclude each other: set the one that the issuer signs with.',
  ],
  [{ BUYER_JWT_SECRET: secret, BUYER_JWT_AUDIENCE: 'onsale' }, 'BUYER_JWT_ISSUER is required when BUYER_JWT_SECRET is set.'],
  [{ BUYER_JWKS_URL: url, BUYER_JWT_ISSUER: 'x' }, 'BUYER_JWT_AUDIENCE is required when BUYER_JWKS_URL is set.'],
  [
    { BUYER_JWKS_URL: url },
    'BUYER_JWT_ISSUER is required when BUYER_JWKS_URL is set.\nBUYER_JWT_AUDIENCE is required when BUYER_JWKS_URL is set.',
  ],
  [{ BUYER_JWT_ISSUER: 'x' }, 'BUYER_JWT_ISSUER has no effect without BUYER_JWT_SECRET or BUYER_JWKS_URL.'],
  [
    { ADMIN_TOKEN: 'one-token-for-both', SELLER_TOKEN: 'one-token-for-both' },
    'SELLER_TOKEN must differ from ADMIN_TOKEN; unset, the token of the admin is used by the seller too.',
  ],
  [{ SELLER_TOKEN: 'short' }, 'SELLER_TOKEN must be at least 16 visible ASCII characters.'],
  [{ BUYER_JWKS_TIMEOUT_MS: '20000' }, 'BUYER_JWKS_TIMEOUT_MS (20000) must be less than BUYER_JWKS_REFRESH_MS (20000).'],
  [{ BUYER_JWKS_STALE_MAX_MS: '20000' }, 'BUYER_JWKS_REFRESH_MS (20000) must be less than BUYER_JWKS_STALE_MAX_MS (20000).'],
])('%j stops the start', (env, sentence) => {
  expect(() => readConfig(env)).toThrow(new ConfigError(sentence));
});

test('with the default limits a removed key works for less than a minute', () => {
  const config = readConfig({});
  expect(config.BUYER_JWKS_REFRESH_MS * 1.5 + config.BUYER_JWKS_TIMEOUT_MS + config.BUYER_TOKEN_CACHED_MS).toBeLessThan(60_000);
});
