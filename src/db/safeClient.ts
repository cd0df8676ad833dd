/**
 * A connection with four guarantees: a COMMIT either commits or throws, no reply is awaited beyond the deadline, the connection is
 * closed when its database becomes read-only, and answers come only from a server that is still the primary.
 */
import pg from 'pg';
import { ClientDeadlineFault, CommitFault, FenceFault } from './faults.js';
import { fenceStatement } from './fence.js';

/** The SQLSTATE of a primary that was demoted without ending its sessions, or that was set to read-only. */
const readOnly = '25006';
/** Postgres's function that waits for the standby. It warns only about a cancelled wait; the text of the warning is localised. */
const standbyWait = 'SyncRepWaitForLSN';

/**
 * A busy connection plans its statements again about this often. A plan that was made while a table was nearly empty reads all
 * purchases of an event for each look-up, because it seemed as cheap as the right index; the session would keep it until an ANALYZE
 * or its own end. With 50,000 purchases sold meanwhile, locking 100 of them took 8 to 15 s, and one look-up 0.2 s. To plan every
 * statement of a session takes about 10 ms.
 */
const planAgeMaxMs = 2_000;

/**
 * The connections to one database, of one or several pools. If one of them turns out to be dead, or to reach a server that is no
 * longer the primary, the others most likely are in the same state.
 */
export class ConnectionGroup {
  readonly clients = new Set<SafeClient>();

  /**
   * Closes every connection on which no reply is awaited; the pools then open others, to whichever server the address points to.
   * Connections that await a reply have their own deadline. A transaction between two statements is rolled back, and fails.
   */
  renew(): void {
    for (const client of this.clients) client.giveUpIfIdle();
  }

  /** How long the oldest running fence has been waiting for its commit; 0 if there is none. */
  fenceWaitMs(): number {
    const beganAtMs = Math.min(...[...this.clients].map((client) => client.fenceBeganAtMs ?? Infinity));
    return Math.max(0, performance.now() - beganAtMs);
  }
}

export interface ConnectionLimits {
  /** For each reply, including its fence. */
  readonly clientDeadlineMs: number;
  /** An answer is used only if the last fence on its connection began no longer ago than this. */
  readonly readFenceMs: number;
}

/** The connections of one pool. */
export interface SafeClients {
  /** For `pg.Pool`. */
  readonly Client: new (config?: pg.ClientConfig) => SafeClient;
  /** Closes all of them, even those that await a reply. */
  readonly abandon: () => void;
}

export function safeClients(group: ConnectionGroup, limits: ConnectionLimits): SafeClients {
  const own = new Set<SafeClient>();
  return {
    Client: class extends SafeClient {
      constructor(config?: pg.ClientConfig) {
        super(config, group, limits);
        this.once('connect', () => own.add(this));
        this.once('end', () => own.delete(this));
      }
    },
    abandon: () => {
      for (const client of own) client.giveUp();
    },
  };
}

/**
 * If a statement of a transaction failed and the program ignored the error, Postgres answers COMMIT with the tag ROLLBACK
 * and no error. If the wait for the synchronous standby was cancelled, it answers with only a warning, although the standby
 * may lack the commit. pg ignores both.
 *
 * A primary that was replaced while it was unreachable answers reads with stale data when it returns. So each answer outside a
 * transaction is held back until a fence proves that the server is the primary, unless a recent fence has proved it.
 */
export class SafeClient extends pg.Client {
  readonly #group: ConnectionGroup;
  readonly #limits: ConnectionLimits;
  #cancelledStandbyWaits = 0;
  #awaited = 0;
  /** When the last successful fence began: the server was the primary then. */
  #fencedAtMs = -Infinity;
  /** No plan of the session is older. */
  #plannedAtMs = performance.now();
  /** Set while a fence is running. */
  fenceBeganAtMs: number | undefined;

  constructor(config: pg.ClientConfig | undefined, group: ConnectionGroup, limits: ConnectionLimits) {
    super(config);
    this.#group = group;
    this.#limits = limits;
    this.once('connect', () => group.clients.add(this));
    this.once('end', () => group.clients.delete(this));
    this.on('error', () => {
      // Pending queries are rejected with the error; without any, the pool drops the connection. Without a listener the process would exit.
    });
    this.on('notice', (notice) => {
      if (notice.routine === standbyWait) this.#cancelledStandbyWaits += 1;
    });
  }

  get isGivenUp(): boolean {
    return this.connection.stream.destroyed;
  }

  giveUpIfIdle(): void {
    if (this.#awaited === 0) this.giveUp();
  }

  giveUp(): void {
    this.connection.stream.destroy();
  }

  /** Supports no callback, because neither the pool nor Prisma's adapter passes one. */
  override query(...args: unknown[]): never {
    return this.#ask(args, true) as never;
  }

  /** For statements on which no answer depends, such as session settings. */
  async queryUnfenced<R extends pg.QueryResultRow>(text: string, values: readonly unknown[]): Promise<R[]> {
    return (await this.#ask([text, values], false)).rows as R[];
  }

  async #ask(args: unknown[], isFenced: boolean): Promise<pg.QueryResult> {
    const text = textOf(args[0]);
    const { clientDeadlineMs } = this.#limits;
    this.#awaited += 1;
    // Destroying the socket is the only safe way to stop waiting: the connection is in an unknown state and must not be reused.
    // pg then rejects the pending queries with the same fault.
    const timer = setTimeout(() => {
      this.connection.stream.destroy(new ClientDeadlineFault(`no reply from the database within ${String(clientDeadlineMs)} ms`));
      this.#group.renew();
    }, clientDeadlineMs);
    try {
      const result = await this.#send(args);
      if (text === 'COMMIT' && result.command !== 'COMMIT') {
        throw new CommitFault(`COMMIT was answered with ${result.command}: nothing was committed`);
      }
      if (isFenced && text !== 'ROLLBACK' && this.#needsFence()) {
        await this.#fence();
        this.#discardOldPlans();
      }
      return result;
    } catch (error) {
      if ((error as { code?: unknown }).code === readOnly) {
        this.giveUp();
        this.#group.renew();
      }
      throw error;
    } finally {
      clearTimeout(timer);
      this.#awaited -= 1;
    }
  }

  /** Inside a transaction no fence is needed yet, because the answer depends on the COMMIT. */
  #needsFence(): boolean {
    return this.getTransactionStatus() === 'I' && performance.now() - this.#fencedAtMs > this.#limits.readFenceMs;
  }

  /** @throws FenceFault, after the group has closed its idle connections to the server */
  async #fence(): Promise<void> {
    const beganAtMs = performance.now();
    this.fenceBeganAtMs = beganAtMs;
    try {
      await this.#send([fenceStatement]);
      this.#fencedAtMs = beganAtMs;
    } catch (cause) {
      this.giveUp();
      this.#group.renew();
      throw new FenceFault('the server did not prove that it is the primary', { cause });
    } finally {
      this.fenceBeganAtMs = undefined;
    }
  }

  /** The answer does not wait for it; the next statement does. */
  #discardOldPlans(): void {
    if (performance.now() - this.#plannedAtMs < planAgeMaxMs) return;
    this.#plannedAtMs = performance.now();
    this.#send(['DISCARD PLANS']).catch(() => {
      // The connection is broken, as the next statement will find out.
    });
  }

  /** @throws CommitFault if a wait for the standby was cancelled during the query */
  async #send(args: unknown[]): Promise<pg.QueryResult> {
    const cancelledBefore = this.#cancelledStandbyWaits;
    // eslint-disable-next-line @typescript-eslint/unbound-method -- bound by Reflect.apply
    const result = (await Reflect.apply(pg.Client.prototype.query, this, args)) as unknown as pg.QueryResult;
    if (this.#cancelledStandbyWaits > cancelledBefore) throw new CommitFault('the wait for the synchronous standby was cancelled');
    return result;
  }
}

function textOf(query: unknown): string | undefined {
  return typeof query === 'string' ? query : (query as { text?: string }).text;
}
