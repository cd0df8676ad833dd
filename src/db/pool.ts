/** pg's pool with a different rule for closing sessions. */
import pg from 'pg';
import { sparesSession } from './faults.js';

/** The part of `SafeClient` that the pool uses. */
interface Session {
  readonly isGivenUp: boolean;
  query(...args: unknown[]): Promise<unknown>;
  release(destroy?: boolean): void;
}

/**
 * pg's own `query` closes the session on any error, even an expected one: each replay of a key would cost a connection and its
 * prepared statements.
 *
 * Prisma's adapter uses promises and passes no callbacks, so callbacks are not supported.
 */
export class SessionPool extends pg.Pool {
  /** Never returns a connection that was closed here; the pool itself notices only when the socket emits its end. */
  override connect(): never {
    return this.#connect() as never;
  }

  /** Like pg's `query`, but keeps a session that is still usable after the error. */
  override query(...args: unknown[]): never {
    return this.#query(args) as never;
  }

  /** Lends a session to one piece of work. If the work fails, the session is closed, with everything that it kept. */
  async lend<T>(work: (session: Pick<Session, 'query'>) => Promise<T>): Promise<T> {
    const client = await this.#connect();
    let failed = true;
    try {
      const result = await work(client);
      failed = false;
      return result;
    } finally {
      client.release(failed);
    }
  }

  async #connect(): Promise<Session> {
    for (;;) {
      const client = (await super.connect()) as unknown as Session;
      if (!client.isGivenUp) return client;
      client.release(true);
    }
  }

  async #query(args: unknown[]): Promise<unknown> {
    const client = await this.#connect();
    try {
      const result = await client.query(...args);
      client.release();
      return result;
    } catch (error) {
      client.release(!sparesSession(error));
      throw error;
    }
  }
}
