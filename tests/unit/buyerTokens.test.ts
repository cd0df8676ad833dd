/**
 * Goal: a token of a buyer is accepted only if all of it is as configured, and verifying tokens costs bounded time and memory.
 * Method: real keys and signatures; a valid token, and the same with one thing changed; the clock is a variable.
 */
import { createSign, generateKeyPairSync } from 'node:crypto';
import { beforeAll, beforeEach, expect, test } from '@jest/globals';
import {
  createLocalJWKSet,
  exportJWK,
  exportSPKI,
  importJWK,
  type JWK,
  type JWTPayload,
  type JWTVerifyGetKey,
  SignJWT,
  UnsecuredJWT,
} from 'jose';
import { Problem } from '../../src/http/contract/problems.js';
import { createVerifyBuyer, type TokenLimits, type TokenRules } from '../../src/http/tokens/buyerTokens.js';
import { audience, claimsOf, issuer, newKey, sign, type SigningKey, signWithSecret } from '../support/issuer.js';

const secret = 'a-secret-of-thirty-two-bytes-or-more';
const secretRules: TokenRules = { find: () => new TextEncoder().encode(secret), algorithms: ['HS256'], issuer, audience };
const limits: TokenLimits = { cachedMax: 100, cachedMs: 25_000, verifyingMax: 100 };

let keys: Record<'RS256' | 'ES256' | 'EdDSA', SigningKey>;
let jwks: JWTVerifyGetKey;
let nowMs: number;
let found: number;
let faults: unknown[];
let full: number;

beforeAll(async () => {
  keys = { RS256: await newKey('rsa', 'RS256'), ES256: await newKey('ec', 'ES256'), EdDSA: await newKey('ed', 'EdDSA') };
  // Without `alg`, only the verifier decides with which algorithm an RSA key is used.
  jwks = createLocalJWKSet({ keys: Object.values(keys).map(({ jwk }) => ({ ...jwk, alg: undefined }) as unknown as JWK) });
});

beforeEach(() => {
  nowMs = Date.now();
  [found, faults, full] = [0, [], 0];
});

function verifier(changes: Partial<TokenRules & TokenLimits> = {}) {
  const find: JWTVerifyGetKey = (header, token) => {
    found += 1;
    return (changes.find ?? jwks)(header, token);
  };
  const observer = { full: () => (full += 1), fault: (error: unknown) => faults.push(error) };
  const rules = { algorithms: ['RS256', 'ES256', 'EdDSA'], issuer, audience, ...changes, find };
  const verify = createVerifyBuyer(rules, { ...limits, ...changes }, observer, () => nowMs);
  // The digest only has to differ; the token itself does.
  return async (token: string) => verify(token, token);
}

async function refusal(result: Promise<string>): Promise<Problem> {
  const error: unknown = await result.then(
    (buyer) => new Error(`accepted, as ${buyer}`),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Problem)) throw error;
  return error;
}

const unauthorized = { code: 'unauthorized', headers: { 'WWW-Authenticate': 'Bearer realm="onsale", error="invalid_token"' } };
const es256 = (claims: JWTPayload) => sign(keys.ES256, claims);

test('a token of each algorithm is accepted, and its subject is the buyer', async () => {
  const verify = verifier();
  for (const key of Object.values(keys))
    expect(await verify(await sign(key, claimsOf(`buyer of ${key.alg}`.replaceAll(' ', '-'))))).toMatch(key.alg);
  expect(await verifier(secretRules)(await signWithSecret(secret, claimsOf('secretly')))).toBe('secretly');
  const forSeveral = await es256(claimsOf('a', { aud: ['another', audience] }));
  expect(await verify(forSeveral)).toBe('a');
});

const soon = () => Math.floor(Date.now() / 1000) + 600;
const changes: readonly (readonly [string, () => Record<string, unknown>, string])[] = [
  ['expired', () => ({ exp: Math.floor(Date.now() / 1000) - 1 }), 'expired'],
  ['not yet valid', () => ({ nbf: soon() }), '"nbf"'],
  ['of another issuer', () => ({ iss: 'https://issuer.example/' }), '"iss"'],
  ['for another audience', () => ({ aud: 'another' }), '"aud"'],
  ['for no audience', () => ({ aud: [] }), '"aud"'],
  ['without an expiry', () => ({ exp: undefined }), '"exp"'],
  ['whose expiry is no number', () => ({ exp: String(soon()) }), '"exp"'],
  ['without a subject', () => ({ sub: undefined }), '"sub"'],
  ['without an issuer', () => ({ iss: undefined }), '"iss"'],
  ['without an audience', () => ({ aud: undefined }), '"aud"'],
  ['with an empty subject', () => ({ sub: '' }), 'valid buyer_id'],
  ['with a number as its subject', () => ({ sub: 17 }), 'valid buyer_id'],
  ['with a subject that has a space', () => ({ sub: 'two words' }), 'valid buyer_id'],
  ['with a subject that is too long', () => ({ sub: 'x'.repeat(101) }), 'valid buyer_id'],
];

test.each(changes)('a token %s is refused; without that change it is accepted', async (_, change, reason) => {
  const verify = verifier();
  const problem = await refusal(verify(await es256(claimsOf('a', change()))));
  expect(problem).toMatchObject({ ...unauthorized, detail: expect.stringContaining(reason) });
  expect(await verify(await es256(claimsOf('a')))).toBe('a');
  expect(faults).toEqual([]);
});

/** By a key that is known, with an algorithm that is not pinned. */
async function signedWithPss(claims: JWTPayload): Promise<string> {
  const key = await importJWK(await exportJWK(keys.RS256.privateKey), 'PS256');
  return new SignJWT(claims).setProtectedHeader({ alg: 'PS256', kid: 'rsa' }).sign(key);
}

test('negative control: a verifier for another audience, issuer or algorithm accepts what this one refuses', async () => {
  const [forAnother, ofAnother] = [await es256(claimsOf('a', { aud: 'another' })), await es256(claimsOf('a', { iss: 'another' }))];
  expect(await verifier({ audience: 'another' })(forAnother)).toBe('a');
  expect(await verifier({ issuer: 'another' })(ofAnother)).toBe('a');
  expect(await verifier({ algorithms: ['PS256'] })(await signedWithPss(claimsOf('a')))).toBe('a');
});

async function forgeries(): Promise<[string, string][]> {
  const claims = claimsOf('a');
  const valid = await es256(claims);
  const [header, payload, signature] = valid.split('.') as [string, string, string];
  const publicPem = await exportSPKI((await importJWK(keys.RS256.jwk, 'RS256', { extractable: true })) as Parameters<typeof exportSPKI>[0]);
  const signed = (alg: string, key: Parameters<SignJWT['sign']>[0], kid?: string) =>
    new SignJWT(claims).setProtectedHeader({ alg, ...(kid !== undefined && { kid }) }).sign(key);
  const { privateKey: strangers } = await newKey('ec');
  const inner = Buffer.from(JSON.stringify(claimsOf('b'))).toString('base64url');
  return [
    ['without a signature', new UnsecuredJWT(claims).encode()],
    ['whose signature was removed', `${header}.${payload}.`],
    ['with "none" and a signature', `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.${signature}`],
    ['with other claims than were signed', `${header}.${inner}.${signature}`],
    ['signed with the public key as a secret', await signed('HS256', new TextEncoder().encode(publicPem), 'rsa')],
    ['signed with a secret', await signed('HS256', new TextEncoder().encode(secret))],
    ['signed with an algorithm that is not pinned', await signedWithPss(claims)],
    ["signed with a stranger's key under a known name", await signed('ES256', strangers, 'ec')],
    ['signed with a key that is unknown', await signed('ES256', strangers, 'unknown')],
    [
      'that brings its own key',
      await new SignJWT(claims).setProtectedHeader({ alg: 'ES256', jwk: (await newKey('ec')).jwk }).sign(strangers),
    ],
    [
      'with a critical extension',
      `${Buffer.from('{"alg":"ES256","kid":"ec","crit":["x"],"x":1}').toString('base64url')}.${payload}.${signature}`,
    ],
    ['that is none', 'not-a-token'],
    ['of empty parts', '..'],
    ['of five parts', `${valid}.a.b`],
    ['whose parts are no JSON', 'a.b.c'],
  ];
}

test('no forged token is accepted, and none counts as a fault of the issuer', async () => {
  const verify = verifier();
  for (const [name, token] of await forgeries()) {
    const problem = await refusal(verify(token));
    expect([name, problem.code, problem.headers]).toEqual([name, 'unauthorized', unauthorized.headers]);
  }
  const withSecret = verifier(secretRules);
  for (const [name, token] of await forgeries()) {
    if (name !== 'signed with a secret') expect([name, (await refusal(withSecret(token))).code]).toEqual([name, 'unauthorized']);
  }
  expect(faults).toEqual([]);
});

test('a token that names no key is accepted while one key of the issuer fits it', async () => {
  const token = await new SignJWT(claimsOf('a')).setProtectedHeader({ alg: 'ES256' }).sign(keys.ES256.privateKey);
  expect(await verifier()(token)).toBe('a');
  const another = await newKey('another');
  const find = createLocalJWKSet({ keys: [keys.ES256.jwk, another.jwk] });
  expect((await refusal(verifier({ find })(token))).code).toBe('unauthorized');
  expect(await verifier({ find })(await es256(claimsOf('a')))).toBe('a');
});

test('a token is refused for its length before any work is done', async () => {
  const atLimit = await es256(claimsOf('a', { filler: 'x'.repeat(2_850) }));
  const verify = verifier();
  expect(atLimit.length).toBeLessThanOrEqual(4_096);
  expect(await verify(atLimit)).toBe('a');
  expect(found).toBe(1);
  expect(await refusal(verify(await es256(claimsOf('a', { filler: 'x'.repeat(3_000) }))))).toMatchObject(unauthorized);
  expect(found).toBe(1);
});

test('times are judged without tolerance, in the cache too', async () => {
  const exp = Math.floor(nowMs / 1000) + 10;
  const verify = verifier();
  const token = await es256(claimsOf('a', { exp, nbf: exp - 5 }));
  nowMs = (exp - 5) * 1000 - 1;
  expect((await refusal(verify(token))).detail).toContain('"nbf"');
  nowMs += 1;
  expect(await verify(token)).toBe('a');
  nowMs = exp * 1000 - 1;
  expect(await verify(token)).toBe('a');
  expect(found).toBe(2);
  nowMs += 1;
  expect((await refusal(verify(token))).detail).toContain('expired');
});

test('a verified token is remembered for its time and then verified again, with the keys of then', async () => {
  let current = jwks;
  const verify = verifier({ find: (header, token) => current(header, token) });
  const token = await es256(claimsOf('a'));
  await verify(token);
  current = createLocalJWKSet({ keys: [] });
  nowMs += 24_999;
  expect(await verify(token)).toBe('a');
  expect(found).toBe(1);
  nowMs += 1;
  expect((await refusal(verify(token))).code).toBe('unauthorized');
  expect(found).toBe(2);
});

test('a refused token is not remembered: what is not yet valid becomes valid', async () => {
  const verify = verifier();
  const token = await es256(claimsOf('a', { nbf: Math.floor(nowMs / 1000) + 5 }));
  await refusal(verify(token));
  nowMs += 5_000;
  expect(await verify(token)).toBe('a');
});

test('no more tokens are remembered than the limit; the oldest goes first', async () => {
  const verify = verifier({ cachedMax: 2 });
  const tokens = await Promise.all(['a', 'b', 'c'].map((buyer) => es256(claimsOf(buyer))));
  for (const token of tokens) await verify(token);
  await verify(tokens[1]!);
  await verify(tokens[2]!);
  expect(found).toBe(3);
  await verify(tokens[0]!);
  expect(found).toBe(4);
});

test('requests with the same token share one verification, and further tokens than the limit are refused', async () => {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const find: JWTVerifyGetKey = async (header, token) => {
    await released;
    return jwks(header, token);
  };
  const verify = verifier({ find, verifyingMax: 2 });
  const [a, b, c] = await Promise.all([es256(claimsOf('a')), es256(claimsOf('b')), es256(claimsOf('c'))]);
  const together = [a, a, b, a, b].map((token) => verify(token));
  expect(await refusal(verify(c))).toMatchObject({ code: 'overloaded', headers: { 'Retry-After': '1' } });
  expect(full).toBe(1);
  release();
  expect(await Promise.all(together)).toEqual(['a', 'a', 'b', 'a', 'b']);
  expect(found).toBe(2);
  expect(await verify(c)).toBe('c');
});

test('a key of the issuer that cannot be used refuses its tokens and is reported', async () => {
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const jwk = { ...weak.publicKey.export({ format: 'jwk' }), kid: 'weak', alg: 'RS256' } as JWK;
  const input = [{ alg: 'RS256', kid: 'weak' }, claimsOf('a')]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  const token = `${input}.${createSign('sha256').update(input).sign(weak.privateKey).toString('base64url')}`;
  expect((await refusal(verifier({ find: createLocalJWKSet({ keys: [jwk] }) })(token))).code).toBe('unauthorized');
  expect(faults).toHaveLength(1);
});
