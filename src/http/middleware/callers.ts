/** Who sent a request: the admin, the seller, a buyer, or anyone. */
import { hash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { RequestHandler } from 'express';
import type { AsBuyer } from '../../sale/types.js';
import { Problem } from '../contract/problems.js';

/**
 * `createHash` would make an object with a finalizer for each request, which the garbage collector has to copy and to finalize: a third
 * of the processor time of a confirmation.
 */
const digest = (text: string) => hash('sha256', text, 'buffer');

export interface Tokens {
  readonly adminToken: string;
  /** Unset, only the admin's token confirms. */
  readonly sellerToken?: string | undefined;
}

export interface Callers {
  readonly requireAdmin: RequestHandler;
  /** Lets the admin pass too. */
  readonly requireSeller: RequestHandler;
  /** The buyer that a request that buys or releases comes from. @throws Problem `unauthorized` */
  readonly buyerOf: (req: IncomingMessage) => Promise<AsBuyer>;
  /** The same for a request that only looks: without a token it sees the purchases of no buyer. */
  readonly readerOf: (req: IncomingMessage) => Promise<AsBuyer>;
}

/** Verifies a buyer's token. @returns the buyer. @throws Problem `unauthorized` */
export type VerifyBuyer = (token: string) => Promise<string>;

/** Sees only purchases that name no buyer: no buyer's id is empty. */
const nobody = '';

/** @param verifyBuyer undefined: buyers need no token, and whoever knows a purchase's id may see and release it */
export function createCallers({ adminToken, sellerToken }: Tokens, verifyBuyer?: VerifyBuyer): Callers {
  const admin = digest(adminToken);
  const sellers = sellerToken === undefined ? [admin] : [admin, digest(sellerToken)];
  const buyer = async (req: IncomingMessage, without: () => AsBuyer): Promise<AsBuyer> => {
    if (!verifyBuyer) return undefined;
    const token = tokenOf(req);
    if (token === undefined) return without();
    return isOneOf(token, sellers) ? undefined : verifyBuyer(token);
  };
  return {
    requireAdmin: requireToken(
      [admin],
      'Send "Authorization: Bearer TOKEN" with the value of ADMIN_TOKEN, or the token printed at start.',
      'This is not the admin token.',
    ),
    requireSeller: requireToken(
      sellers,
      'Send "Authorization: Bearer TOKEN" with the value of SELLER_TOKEN or ADMIN_TOKEN.',
      'This is not the token of the seller or the admin.',
    ),
    buyerOf: (req) =>
      buyer(req, () => {
        throw unauthorized(undefined, 'Send "Authorization: Bearer TOKEN" with the token of the buyer.');
      }),
    readerOf: (req) => buyer(req, () => nobody),
  };
}

/** @param token as sent; undefined if there was none */
export function unauthorized(token: string | undefined, detail: string): Problem {
  const challenge = token === undefined ? 'Bearer realm="onsale"' : 'Bearer realm="onsale", error="invalid_token"';
  return new Problem('unauthorized', detail, { headers: { 'WWW-Authenticate': challenge } });
}

function requireToken(accepted: readonly Buffer[], missing: string, wrong: string): RequestHandler {
  return (req, _res, next) => {
    const token = tokenOf(req);
    if (token === undefined || !isOneOf(token, accepted)) throw unauthorized(token, token === undefined ? missing : wrong);
    next();
  };
}

function tokenOf(req: IncomingMessage): string | undefined {
  return /^Bearer +(\S+)$/i.exec(req.headers.authorization ?? '')?.[1];
}

/** Digests are compared in constant time, so neither the length of a token nor a common prefix leaks. */
function isOneOf(token: string, accepted: readonly Buffer[]): boolean {
  const given = digest(token);
  return accepted.map((each) => timingSafeEqual(given, each)).includes(true);
}
