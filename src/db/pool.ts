/** pg's pool, except for when it gives up a session. */
import pg from 'pg';
import { sparesSession } from './faults.js';

/** What `safeClients` makes. */
interface Session {
  readonly isGivenUp: boolean;
  query(...args: unknown[]): Promise<unknown>;
  release(destroy?: boolean): void;
}

/**
 * pg's own `query` closes the session at any error, also at one that is expected: each replay of a key would cost a
 * connection and the plans that were prepared on it.
 *
 * Prisma's adapter awaits promises and passes no callbacks, so there are none here.
 */
export class SessionPool extends pg.Pool {
  /** Never hands out a connection that was given up; the pool itself learns of it only when the socket reports its end. */
  override connect(): never {
    return this.#connect() as never;
  }

  /** As pg's, and keeps a session in which the server refused a statement and goes on. */
  override query(...args: unknown[]): never {
    return this.#query(args) as never;
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
