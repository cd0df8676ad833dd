/**
 * The public keys of the issuer of buyers' tokens, from its JWKS endpoint. They are fetched at start and then periodically, so that
 * no request waits for them in normal operation and a removed key is noticed. A token that names an unknown key triggers a fetch,
 * because the issuer may have rotated its keys. There is never more than one fetch at a time.
 *
 * jose's own `createRemoteJWKSet` is not used: when its keys are older than its maximum age and the endpoint is down, it refuses
 * every token, and while the endpoint is slow, every token waits.
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { type Loop, startLoop } from '../../background/loop.js';
import { overloaded } from '../contract/problems.js';

export interface IssuerKeysSettings {
  readonly url: string;
  /** A whole fetch, from connecting to the last byte. */
  readonly timeoutMs: number;
  /** On average; varied by half. */
  readonly refreshMs: number;
  /** Between two fetches that tokens trigger. */
  readonly cooldownMs: number;
  /** Keys older than this verify nothing. */
  readonly staleMaxMs: number;
}

interface Log {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
}

/** A set of a dozen RSA keys has 6 KiB. */
const bytesMax = 262_144;
const logEveryMs = 60_000;

interface Fetched {
  readonly find: JWTVerifyGetKey;
  readonly atMs: number;
}

export class IssuerKeys {
  readonly #settings: IssuerKeysSettings;
  readonly #log: Log;
  readonly #nowMs: () => number;
  #fetched: Fetched | undefined;
  #fetching: Promise<void> | undefined;
  /** Of the last fetch; undefined if it succeeded. */
  #failure: string | undefined;
  #askedAtMs = -Infinity;
  #loggedAtMs = -Infinity;
  #abort: (() => void) | undefined;

  /** @param nowMs a monotonic clock */
  constructor(settings: IssuerKeysSettings, log: Log, nowMs = () => performance.now()) {
    this.#settings = settings;
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /** Infinity before the first successful fetch. */
  get ageMs(): number {
    return this.#fetched ? this.#nowMs() - this.#fetched.atMs : Infinity;
  }

  /** Fetches the keys periodically. */
  start(): Loop {
    const loop = startLoop({
      intervalMs: this.#settings.refreshMs,
      runOnce: async () => {
        await this.fetchOnce();
        return false;
      },
      onFault: (error) => {
        this.#log.warn({ err: error }, "the keys of buyers' tokens are not refreshed");
      },
    });
    return {
      stop: () => {
        this.#abort?.();
        return loop.stop();
      },
    };
  }

  /** Joins the fetch that is running. Never rejects: a failure is logged, and the keys stay as they are. */
  fetchOnce(): Promise<void> {
    this.#fetching ??= this.#load().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  /**
   * The key that verifies a token, for jose. Waits for a fetch only if there are no usable keys, or the key is unknown.
   *
   * @throws Problem `overloaded` if it cannot be known whether the issuer has the key
   * @throws JWKSNoMatchingKey
   */
  readonly find: JWTVerifyGetKey = async (header, token) => {
    if (!this.#usable()) await this.#ask();
    try {
      return await this.#keys()(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await this.#ask();
      try {
        return await this.#keys()(header, token);
      } catch (again) {
        throw again instanceof errors.JWKSNoMatchingKey && this.#failure !== undefined ? this.#unavailable() : again;
      }
    }
  };

  #usable(): Fetched | undefined {
    return this.ageMs <= this.#settings.staleMaxMs ? this.#fetched : undefined;
  }

  #keys(): JWTVerifyGetKey {
    const usable = this.#usable();
    if (!usable) throw this.#unavailable();
    return usable.find;
  }

  #unavailable(): Error {
    const waitMs = this.#askedAtMs + this.#settings.cooldownMs - this.#nowMs();
    return overloaded(
      'The keys that verify tokens of buyers could not be fetched; nothing happened.',
      Math.max(1, Math.ceil(waitMs / 1000)),
    );
  }

  /** Fetches the keys because of a token. A flood of tokens with unknown keys causes one fetch per cooldown. */
  async #ask(): Promise<void> {
    if (this.#fetching === undefined) {
      if (this.#nowMs() - this.#askedAtMs < this.#settings.cooldownMs) return;
      this.#askedAtMs = this.#nowMs();
    }
    await this.fetchOnce();
  }

  async #load(): Promise<void> {
    try {
      const keys = await this.#request();
      this.#fetched = { find: createLocalJWKSet(keys), atMs: this.#nowMs() };
      if (this.#failure !== undefined) this.#log.info({ url: this.#settings.url }, "the keys of buyers' tokens were fetched again");
      this.#failure = undefined;
    } catch (error) {
      this.#report(reasonOf(error));
    }
  }

  async #request(): Promise<JSONWebKeySet> {
    const { url, timeoutMs } = this.#settings;
    const controller = new AbortController();
    this.#abort = () => {
      controller.abort(new Error('the replica stops'));
    };
    const timer = setTimeout(() => {
      controller.abort(new Error(`no complete answer within ${String(timeoutMs)} ms`));
    }, timeoutMs);
    try {
      // Redirects are not followed: the keys come from the host that the operator named, and from no other.
      const response = await fetch(url, { redirect: 'manual', signal: controller.signal, headers: { Accept: 'application/json' } });
      if (response.status !== 200) {
        await response.body?.cancel();
        throw new Error(`it answered ${String(response.status)}`);
      }
      return JSON.parse(await readText(response)) as JSONWebKeySet; // createLocalJWKSet checks its shape
    } finally {
      clearTimeout(timer);
      this.#abort = undefined;
    }
  }

  /** Logs the first failure of several, and then one a minute. */
  #report(reason: string): void {
    const isFirst = this.#failure === undefined;
    this.#failure = reason;
    if (!isFirst && this.#nowMs() - this.#loggedAtMs < logEveryMs) return;
    this.#loggedAtMs = this.#nowMs();
    const leftMs = this.#settings.staleMaxMs - this.ageMs;
    this.#log.warn(
      { url: this.#settings.url, reason, known_keys_verify_for_seconds: Math.max(0, Math.round(leftMs / 1000)) },
      "the keys of buyers' tokens could not be fetched",
    );
  }
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new Error(`it has more than ${String(bytesMax)} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** The cause says more than "fetch failed". */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? cause.message || String((cause as NodeJS.ErrnoException).code) : message;
}
