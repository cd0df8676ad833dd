/**
 * Verifies the tokens of buyers: JWTs of one issuer for one audience, with a subject and an expiry.
 *
 * Processor time, measured alone: a verification takes 65 µs (HS256), 45 µs (RS256), 95 µs (ES256) or 110 µs (EdDSA), whether the token
 * is valid or not; finding it in the cache 3 µs. In the server (two busy cores, autocannon, process time per request): a purchase 95 µs
 * without tokens, 100 µs with a cached token, 220 µs (RS256) to 290 µs (ES256) with a token that is verified each time; a 401 150 µs
 * (RS256) to 210 µs (EdDSA), where another 4xx takes 85 µs.
 *
 * What bounds a flood of invalid tokens: the gate refuses first; at most `verifyingMax` verifications are in progress; and a 401
 * counts twice towards the rate of refusals, so at the default 1,500 a second are answered, and a client that waits for its answer
 * sends nothing. Beside such a flood (ES256, 64 to 1,000 connections) 48 connections bought 75 to 100 % of what they bought without
 * it; when a 401 counted once, 3,000 a second left 50 to 60 %, and at 1,000 connections a tenth.
 */
import { createSecretKey } from 'node:crypto';
import { errors, jwtVerify, type JWTVerifyGetKey } from 'jose';
import type { Config } from '../../config.js';
import { overloaded, Problem } from '../contract/problems.js';
import { buyerId } from '../contract/schemas.js';
import { unauthorized } from '../contract/requestProblems.js';
import type { VerifyBuyer } from '../middleware/callers.js';
import { IssuerKeys } from './issuerKeys.js';
import { VerifiedTokens } from './verifiedTokens.js';

export interface TokenRules {
  /** Of jose: finds the key by the token's header. */
  readonly find: JWTVerifyGetKey;
  /** Pinned, because a token must not choose how it is verified. */
  readonly algorithms: readonly string[];
  readonly issuer: string;
  readonly audience: string;
}

export interface TokenLimits {
  readonly cachedMax: number;
  /** A token is verified again after this time, so that a key that was removed is noticed. */
  readonly cachedMs: number;
  /** Different tokens whose verification is in progress. */
  readonly verifyingMax: number;
}

export interface TokenObserver {
  /** A token was not verified because too many verifications were in progress. */
  full(): void;
  /** A key of the issuer cannot be used. */
  fault(error: unknown): void;
}

/** Tokens of identity providers have 300 to 2,000 characters. */
const tokenCharactersMax = 4_096;

/**
 * Times are judged by this machine's clock, without tolerance: a tolerance would extend the life of every token, and the issuers
 * that write `nbf` date it at or before the moment of issue.
 *
 * @param nowMs the time since 1970
 */
export function createVerifyBuyer(rules: TokenRules, limits: TokenLimits, observer: TokenObserver, nowMs = () => Date.now()): VerifyBuyer {
  const verified = new VerifiedTokens(limits.cachedMax);
  const verifying = new Map<string, Promise<string>>();
  const options = {
    algorithms: [...rules.algorithms],
    issuer: rules.issuer,
    audience: rules.audience,
    requiredClaims: ['exp', 'sub'],
    clockTolerance: 0,
  };

  async function verify(token: string, digest: string): Promise<string> {
    const startedAtMs = nowMs();
    const { payload } = await jwtVerify(token, rules.find, { ...options, currentDate: new Date(startedAtMs) });
    const { data: buyer } = buyerId.safeParse(payload.sub);
    if (buyer === undefined) throw unauthorized(token, 'The "sub" of the token is not a valid buyer_id.');
    verified.add(digest, buyer, Math.min((payload.exp ?? 0) * 1000, startedAtMs + limits.cachedMs));
    return buyer;
  }

  return (token, digest) => {
    if (token.length > tokenCharactersMax) {
      throw unauthorized(token, `The token of a buyer can have at most ${String(tokenCharactersMax)} characters.`);
    }
    const buyer = verified.buyerOf(digest, nowMs());
    if (buyer !== undefined) return buyer;
    const running = verifying.get(digest);
    if (running) return running;
    if (verifying.size >= limits.verifyingMax) {
      observer.full();
      throw overloaded('Too many tokens are being verified; nothing happened.', 1);
    }
    const result = verify(token, digest)
      .catch((error: unknown) => {
        throw toProblem(token, error, observer);
      })
      .finally(() => verifying.delete(digest));
    verifying.set(digest, result);
    return result;
  };
}

function toProblem(token: string, error: unknown, observer: TokenObserver): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof errors.JWTExpired) return unauthorized(token, 'The token has expired.');
  if (error instanceof errors.JWTClaimValidationFailed) {
    return unauthorized(token, `The "${error.claim}" of the token is missing, or is not the one that is accepted here.`);
  }
  if (!(error instanceof errors.JOSEError)) observer.fault(error);
  return unauthorized(token, 'This is not a token of the issuer that is accepted here.');
}

export interface BuyerTokens {
  readonly verify: VerifyBuyer;
  /** The age of the issuer's keys; 0 where a secret verifies the tokens. */
  readonly keysAgeMs: () => number;
  stop(): Promise<void>;
}

interface Log {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
}

/** @returns undefined if no tokens are configured: then anyone can buy */
export function openBuyerTokens(config: Config, onFull: () => void, log: Log): BuyerTokens | undefined {
  const { BUYER_JWT_SECRET: secret, BUYER_JWKS_URL: url, BUYER_JWT_ISSUER: issuer, BUYER_JWT_AUDIENCE: audience } = config;
  if (issuer === undefined || audience === undefined) return undefined;
  const limits: TokenLimits = {
    cachedMax: config.BUYER_TOKENS_CACHED_MAX,
    cachedMs: config.BUYER_TOKEN_CACHED_MS,
    verifyingMax: config.BUYER_TOKENS_VERIFYING_MAX,
  };
  const observer: TokenObserver = {
    full: onFull,
    fault: rarely((error) => {
      log.warn({ err: error }, "a key of the issuer of buyers' tokens cannot be used");
    }),
  };
  const verifyWith = (find: JWTVerifyGetKey, algorithms: readonly string[]) =>
    createVerifyBuyer({ find, algorithms, issuer, audience }, limits, observer);
  if (secret !== undefined) {
    const key = createSecretKey(Buffer.from(secret));
    return { verify: verifyWith(() => key, ['HS256']), keysAgeMs: () => 0, stop: () => Promise.resolve() };
  }
  if (url === undefined) return undefined;
  const keys = new IssuerKeys(
    {
      url,
      timeoutMs: config.BUYER_JWKS_TIMEOUT_MS,
      refreshMs: config.BUYER_JWKS_REFRESH_MS,
      cooldownMs: config.BUYER_JWKS_COOLDOWN_MS,
      staleMaxMs: config.BUYER_JWKS_STALE_MAX_MS,
    },
    log,
  );
  const refreshing = keys.start();
  return {
    verify: verifyWith(keys.find, ['RS256', 'ES256', 'EdDSA']),
    keysAgeMs: () => keys.ageMs,
    stop: () => refreshing.stop(),
  };
}

const logEveryMs = 60_000;

/** Calls the function at most once a minute. */
function rarely(log: (error: unknown) => void): (error: unknown) => void {
  let loggedAtMs = -Infinity;
  return (error) => {
    if (performance.now() - loggedAtMs < logEveryMs) return;
    loggedAtMs = performance.now();
    log(error);
  };
}
