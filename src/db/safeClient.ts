/**
 * A connection that can be trusted: its COMMIT is a COMMIT or an error, it waits for no reply longer than its deadline, and
 * it does not outlive a database that takes no writes any more.
 */
import pg from 'pg';
import { ClientDeadlineFault, CommitFault } from './faults.js';

/** A pool's connections, to be given up together. */
export interface SafeClients {
  /** For `pg.Pool`. */
  readonly Client: new (config?: pg.ClientConfig) => pg.Client;
  /**
   * Gives up every connection on which no reply is awaited; the pool then opens others. Those with a reply to come have their
   * own deadline. A transaction between two statements is undone by it, and fails.
   */
  readonly renew: () => void;
  /** Gives up all of them, replies to come or not. */
  readonly abandon: () => void;
}

/** A primary that was demoted without ending its sessions, or that was told to take no writes. */
const readOnly = '25006';
/** Postgres's function that waits for the standby. It warns of nothing but a wait that was cut short, in whatever language. */
const standbyWait = 'SyncRepWaitForLSN';

/** Connections that share their fate. */
interface Group {
  readonly deadlineMs: number;
  readonly clients: Set<SafeClient>;
}

/** @param deadlineMs for each reply */
export function safeClients(deadlineMs: number): SafeClients {
  const group: Group = { deadlineMs, clients: new Set() };
  return {
    Client: class extends SafeClient {
      constructor(config?: pg.ClientConfig) {
        super(config, group);
      }
    },
    renew: () => {
      giveUpIdle(group);
    },
    abandon: () => {
      for (const client of group.clients) client.giveUp();
    },
  };
}

function giveUpIdle({ clients }: Group): void {
  for (const client of clients) client.giveUpIfIdle();
}

/**
 * If a statement of a transaction failed and the failure was swallowed, Postgres answers COMMIT with the tag ROLLBACK,
 * without an error. If a wait for the synchronous standby was cancelled, it answers with a mere warning, although the
 * standby may not have what was committed. pg passes over both.
 *
 * A connection that fell silent is seldom alone: its host is gone, or the network. So the idle ones go with it, instead of
 * each costing a deadline of its own.
 */
class SafeClient extends pg.Client {
  readonly #group: Group;
  #cancelledStandbyWaits = 0;
  #awaited = 0;

  constructor(config: pg.ClientConfig | undefined, group: Group) {
    super(config);
    this.#group = group;
    this.once('connect', () => group.clients.add(this));
    this.once('end', () => group.clients.delete(this));
    this.on('error', () => {
      // Whoever awaits a reply is told; if nobody does, the pool drops the connection. Without a listener the process would end.
    });
    this.on('notice', (notice) => {
      if (notice.routine === standbyWait) this.#cancelledStandbyWaits += 1;
    });
  }

  giveUpIfIdle(): void {
    if (this.#awaited === 0) this.giveUp();
  }

  giveUp(): void {
    this.connection.stream.destroy();
  }

  // pg's own declaration has a dozen overloads; here a text or a config comes first, and perhaps a callback last.
  override query(...args: unknown[]): never {
    const judge = this.#watch(textOf(args[0]));
    const callback = args.at(-1);
    if (typeof callback === 'function') {
      args[args.length - 1] = (error: unknown, result: unknown) => {
        Reflect.apply(callback, undefined, [judge(error, result), result]);
      };
      return this.#send(args) as never;
    }
    const reply = this.#send(args) as Promise<unknown>;
    return reply.then(
      (result) => {
        const fault = judge(undefined, result);
        if (fault) throw fault;
        return result;
      },
      (error: unknown) => {
        judge(error, undefined);
        throw error;
      },
    ) as never;
  }

  /** Begins the wait for a reply. @returns to be called with the reply: ends the wait, and says what is wrong with it */
  #watch(text: string | undefined): (error: unknown, result: unknown) => Error | undefined {
    const cancelledBefore = this.#cancelledStandbyWaits;
    this.#awaited += 1;
    // Destroying the socket is the only safe end of a wait: the connection is in an unknown state and must not be reused.
    // pg then fails what is under way with the same fault.
    const timer = setTimeout(() => {
      this.connection.stream.destroy(new ClientDeadlineFault(`no reply from the database within ${String(this.#group.deadlineMs)} ms`));
      giveUpIdle(this.#group);
    }, this.#group.deadlineMs);
    return (error, result) => {
      clearTimeout(timer);
      this.#awaited -= 1;
      if (error !== undefined && error !== null) {
        if ((error as { code?: unknown }).code === readOnly) this.giveUpIfIdle();
        return error as Error;
      }
      const { command } = result as pg.QueryResult;
      if (text === 'COMMIT' && command !== 'COMMIT') {
        return new CommitFault(`COMMIT was answered with ${command}: nothing was committed`);
      }
      if (this.#cancelledStandbyWaits > cancelledBefore) return new CommitFault('the wait for the synchronous standby was cancelled');
      return undefined;
    };
  }

  #send(args: unknown[]): unknown {
    // eslint-disable-next-line @typescript-eslint/unbound-method -- bound by Reflect.apply
    return Reflect.apply(pg.Client.prototype.query, this, args);
  }
}

function textOf(query: unknown): string | undefined {
  return typeof query === 'string' ? query : (query as { text?: string }).text;
}
