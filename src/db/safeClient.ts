/**
 * A connection that can be trusted: its COMMIT is a COMMIT or an error, it waits for no reply longer than its deadline, it
 * does not outlive a database that takes no writes any more, and it answers only for a server that is still the primary.
 */
import pg from 'pg';
import { ClientDeadlineFault, CommitFault, FenceFault } from './faults.js';
import { fenceStatement } from './fence.js';

/** A primary that was demoted without ending its sessions, or that was told to take no writes. */
const readOnly = '25006';
/** Postgres's function that waits for the standby. It warns of nothing but a wait that was cut short, in whatever language. */
const standbyWait = 'SyncRepWaitForLSN';

/**
 * Connections to one database, of one pool or several. When one of them is found to lead nowhere, or to a server that is no
 * longer the primary, the others most likely do too.
 */
export class ConnectionGroup {
  readonly clients = new Set<SafeClient>();

  /**
   * Gives up every connection on which no reply is awaited; the pools then open others, to whatever the address leads to by
   * then. Those with a reply to come have their own deadline. A transaction between two statements is undone by it, and fails.
   */
  renew(): void {
    for (const client of this.clients) client.giveUpIfIdle();
  }

  /** How long the oldest fence under way has been waiting for its commit; 0 if there is none. */
  fenceWaitMs(): number {
    const beganAtMs = Math.min(...[...this.clients].map((client) => client.fenceBeganAtMs ?? Infinity));
    return Math.max(0, performance.now() - beganAtMs);
  }
}

export interface ConnectionLimits {
  /** For each reply, its fence included. */
  readonly clientDeadlineMs: number;
  /** An answer is used only if the last fence on its connection began no longer ago than this. */
  readonly readFenceMs: number;
}

/** The connections of one pool. */
export interface SafeClients {
  /** For `pg.Pool`. */
  readonly Client: new (config?: pg.ClientConfig) => SafeClient;
  /** Gives up all of them, replies to come or not. */
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
 * If a statement of a transaction failed and the failure was swallowed, Postgres answers COMMIT with the tag ROLLBACK,
 * without an error. If a wait for the synchronous standby was cancelled, it answers with a mere warning, although the
 * standby may not have what was committed. pg passes over both.
 *
 * A primary that was replaced while it could not be reached still answers reads when it is back, from the past. So each
 * answer that leaves no transaction open is held until a fence proves the server, unless one did so a moment ago.
 */
export class SafeClient extends pg.Client {
  readonly #group: ConnectionGroup;
  readonly #limits: ConnectionLimits;
  #cancelledStandbyWaits = 0;
  #awaited = 0;
  /** When the last fence that went through began: until then the server was the primary. */
  #fencedAtMs = -Infinity;
  /** Set while a fence is under way. */
  fenceBeganAtMs: number | undefined;

  constructor(config: pg.ClientConfig | undefined, group: ConnectionGroup, limits: ConnectionLimits) {
    super(config);
    this.#group = group;
    this.#limits = limits;
    this.once('connect', () => group.clients.add(this));
    this.once('end', () => group.clients.delete(this));
    this.on('error', () => {
      // Whoever awaits a reply is told; if nobody does, the pool drops the connection. Without a listener the process would end.
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

  /** Takes no callback: neither the pool nor Prisma's adapter has one. */
  override query(...args: unknown[]): never {
    return this.#ask(args, true) as never;
  }

  /** For what no answer rests on: settings of the session. */
  async queryUnfenced<R extends pg.QueryResultRow>(text: string, values: readonly unknown[]): Promise<R[]> {
    return (await this.#ask([text, values], false)).rows as R[];
  }

  async #ask(args: unknown[], isFenced: boolean): Promise<pg.QueryResult> {
    const text = textOf(args[0]);
    const { clientDeadlineMs } = this.#limits;
    this.#awaited += 1;
    // Destroying the socket is the only safe end of a wait: the connection is in an unknown state and must not be reused.
    // pg then fails what is under way with the same fault.
    const timer = setTimeout(() => {
      this.connection.stream.destroy(new ClientDeadlineFault(`no reply from the database within ${String(clientDeadlineMs)} ms`));
      this.#group.renew();
    }, clientDeadlineMs);
    try {
      const result = await this.#send(args);
      if (text === 'COMMIT' && result.command !== 'COMMIT') {
        throw new CommitFault(`COMMIT was answered with ${result.command}: nothing was committed`);
      }
      if (isFenced && text !== 'ROLLBACK' && this.#needsFence()) await this.#fence();
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

  /** Within a transaction it can wait: the answer rests on the COMMIT. */
  #needsFence(): boolean {
    return this.getTransactionStatus() === 'I' && performance.now() - this.#fencedAtMs > this.#limits.readFenceMs;
  }

  /** @throws FenceFault, and then the group has left the server */
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

  /** @throws CommitFault also if a wait for the standby was cancelled meanwhile */
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
