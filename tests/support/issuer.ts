/** An issuer of buyers' tokens: its keys, the tokens that it signs, and its JWKS endpoint on loopback, which can misbehave. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';

export const issuer = 'https://issuer.example';
export const audience = 'onsale';

export type Algorithm = 'RS256' | 'ES256' | 'EdDSA';

export interface SigningKey {
  readonly kid: string;
  readonly alg: Algorithm;
  readonly privateKey: CryptoKey;
  /** As the JWKS endpoint publishes it. */
  readonly jwk: JWK;
}

export async function newKey(kid: string, alg: Algorithm = 'ES256'): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

const inAnHour = () => Math.floor(Date.now() / 1000) + 3_600;

/** Valid unless a claim says otherwise; `undefined` leaves a claim out. */
export function claimsOf(buyer: string, changes: Readonly<Record<string, unknown>> = {}): JWTPayload {
  return JSON.parse(JSON.stringify({ sub: buyer, iss: issuer, aud: audience, exp: inAnHour(), ...changes })) as JWTPayload;
}

export function sign({ kid, alg, privateKey }: SigningKey, claims: JWTPayload): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg, kid }).sign(privateKey);
}

export function signWithSecret(secret: string | Uint8Array, claims: JWTPayload, alg = 'HS256'): Promise<string> {
  const key = typeof secret === 'string' ? new TextEncoder().encode(secret) : secret;
  return new SignJWT(claims).setProtectedHeader({ alg }).sign(key);
}

export interface Endpoint {
  readonly url: string;
  /** The requests so far. */
  readonly requests: number;
  /** Those that were never answered. */
  readonly pending: number;
  /** From now on it publishes these keys. */
  publish(...keys: readonly SigningKey[]): void;
  /** From now on it answers like this; a function that does nothing never answers. */
  answer(with_: (response: ServerResponse) => void): void;
  close(): Promise<void>;
}

export async function openEndpoint(...keys: readonly SigningKey[]): Promise<Endpoint> {
  let [requests, pending] = [0, 0];
  const publishing = (published: readonly SigningKey[]) => (response: ServerResponse) => {
    response.setHeader('Content-Type', 'application/json').end(JSON.stringify({ keys: published.map(({ jwk }) => jwk) }));
  };
  let respond = publishing(keys);
  const server = createServer((_request, response) => {
    requests += 1;
    pending += 1;
    response.once('finish', () => (pending -= 1));
    respond(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/.well-known/jwks.json`,
    get requests() {
      return requests;
    },
    get pending() {
      return pending;
    },
    publish: (...published) => {
      respond = publishing(published);
    },
    answer: (with_) => {
      respond = with_;
    },
    close: async () => {
      server.closeAllConnections();
      if (!server.listening) return;
      server.close();
      await once(server, 'close');
    },
  };
}
