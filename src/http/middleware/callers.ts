/** Who sent a request: the admin, the seller, a buyer, or anyone. */
import { hash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { RequestHandler } from 'express';
import type { AsBuyer } from '../../sale/types.js';
import { missingToken, unauthorized } from '../contract/requestProblems.js';

/**
 * One call, without an object: `createHash` makes one with a finalizer for each request, which the garbage collector copies and
 * finalizes later. That took 7 % of the profile of confirmations.
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
  /**
   * In front of a route that buys or releases, before the body is read: finds out who sent the request, and refuses it without a
   * valid token. Empty if buyers need no token, so that a purchase does not pay for an idle layer.
   */
  readonly requireBuyer: readonly RequestHandler[];
  /** The same in front of a route that only shows: without a token, the request comes from nobody. */
  readonly recogniseBuyer: readonly RequestHandler[];
  /** The buyer who sent the request, behind either of the two. */
  readonly buyerOf: (req: IncomingMessage) => AsBuyer;
}

/**
 * Verifies a buyer's token.
 *
 * @param digest of the token
 * @returns the buyer; a promise if the token was not verified recently
 * @throws Problem `unauthorized`, `overloaded`
 */
export type VerifyBuyer = (token: string, digest: string) => string | Promise<string>;

/** No buyer has an empty id, so no purchase is theirs. */
const nobody = '';

const sender = Symbol('who sent the request');
type FromSomebody = IncomingMessage & { [sender]?: { readonly asBuyer: AsBuyer } };

/** @param verifyBuyer undefined: buyers need no token, and anyone who knows a purchase's id may see and release it */
export function createCallers({ adminToken, sellerToken }: Tokens, verifyBuyer?: VerifyBuyer): Callers {
  const admin = digest(adminToken);
  const sellers = sellerToken === undefined ? [admin] : [admin, digest(sellerToken)];
  const identify = (verify: VerifyBuyer, withoutToken: () => AsBuyer): RequestHandler => {
    return async (req: FromSomebody, _res, next) => {
      const token = tokenOf(req);
      if (token === undefined) {
        req[sender] = { asBuyer: withoutToken() };
      } else {
        const given = digest(token);
        req[sender] = { asBuyer: isOneOf(given, sellers) ? undefined : await verify(token, given.toString('base64')) };
      }
      next();
    };
  };
  const missing = (): never => {
    throw unauthorized(undefined, missingToken.buyer);
  };
  return {
    requireAdmin: requireToken([admin], missingToken.admin, 'This is not the admin token.'),
    requireSeller: requireToken(sellers, missingToken.seller, 'This is not the token of the seller or the admin.'),
    requireBuyer: verifyBuyer ? [identify(verifyBuyer, missing)] : [],
    recogniseBuyer: verifyBuyer ? [identify(verifyBuyer, () => nobody)] : [],
    buyerOf: (req: FromSomebody) => {
      if (!verifyBuyer) return undefined;
      const found = req[sender];
      if (!found) throw new Error('a route asks for the buyer, and no middleware has identified the sender');
      return found.asBuyer;
    },
  };
}

/** For the start: one sentence. @param issuer of the tokens of buyers; undefined if they need none */
export function whoMay(sellerHasToken: boolean, issuer: string | undefined): string {
  const confirm = sellerHasToken ? 'by the seller, with SELLER_TOKEN, and the admin' : 'only by the admin, because SELLER_TOKEN is not set';
  const buy = issuer === undefined ? 'anyone' : `the seller, the admin, and buyers with a token of ${issuer}`;
  return `Purchases can be confirmed ${confirm}, and made by ${buy}`;
}

function requireToken(accepted: readonly Buffer[], missing: string, wrong: string): RequestHandler {
  return (req, _res, next) => {
    const token = tokenOf(req);
    if (token === undefined || !isOneOf(digest(token), accepted)) throw unauthorized(token, token === undefined ? missing : wrong);
    next();
  };
}

function tokenOf(req: IncomingMessage): string | undefined {
  return /^Bearer +(\S+)$/i.exec(req.headers.authorization ?? '')?.[1];
}

/** Digests are compared in constant time, so neither the length of a token nor a common prefix leaks. */
function isOneOf(given: Buffer, accepted: readonly Buffer[]): boolean {
  return accepted.map((each) => timingSafeEqual(given, each)).includes(true);
}
