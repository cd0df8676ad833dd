/** Everything a scenario plays on: Postgres, the proxy before it, replicas behind that, and events on sale. */
import { setTimeout as pause } from 'node:timers/promises';
import { type Ledger, readLedger } from './ledger.js';
import { Postgres } from './postgres.js';
import { Proxy } from './proxy.js';
import { ReplicaProcess } from './replicaProcess.js';
import { insertEvents, type InsertedEvent } from '../support/events.js';
import { httpClient, type NamedClient } from './client.js';

/** Nothing of a sale outlives the longest time limit of the replicas by much. */
const calmTimeoutMs = 20_000;

export class Stage {
  readonly replicas: ReplicaProcess[] = [];
  readonly clients: NamedClient[] = [];
  readonly #others: Postgres[] = [];

  private constructor(
    /** The one that sells; a standby takes its place by `promoted`. */
    public postgres: Postgres,
    readonly proxy: Proxy,
  ) {}

  /**
   * @param settings of Postgres
   * @param prepare what the replicas need before they are ready
   */
  static async open(
    replicas: number,
    settings: Readonly<Record<string, string | number>> = {},
    prepare: (stage: Stage) => Promise<void> = () => Promise.resolve(),
  ): Promise<Stage> {
    const postgres = await Postgres.copy(settings);
    await postgres.start();
    const stage = new Stage(postgres, await Proxy.open({ port: postgres.port }));
    try {
      await prepare(stage);
      for (let index = 0; index < replicas; index += 1) {
        const replica = new ReplicaProcess(`replica ${String(index + 1)}`, postgres.url(stage.proxy.port));
        stage.replicas.push(replica);
        stage.clients.push(httpClient(replica.name, () => replica.address));
      }
      await Promise.all(stage.replicas.map((replica) => replica.start()));
      await Promise.all(stage.replicas.map((replica) => replica.untilReady()));
    } catch (error) {
      await stage.close();
      throw error;
    }
    return stage;
  }

  /** Stops it too at the end. */
  async join(other: Postgres): Promise<void> {
    this.#others.push(other);
    await other.start();
  }

  /** The address that the replicas know leads to this one from here on. */
  switchTo(other: Postgres): void {
    this.#others.push(this.postgres);
    this.postgres = other;
    this.proxy.target = other.port;
  }

  /** Puts events on sale without a replica. */
  makeEvents(events: readonly { readonly quota: number; readonly limit: number }[]): Promise<InsertedEvent[]> {
    return insertEvents((statement, values) => this.postgres.query(statement, values), events);
  }

  /** Waits until everything is up and no attempt at anything is under way in the database, or on its way there. */
  async untilCalm(): Promise<void> {
    await Promise.all(this.replicas.map((replica) => replica.untilReady(calmTimeoutMs)));
    const deadline = Date.now() + calmTimeoutMs;
    for (;;) {
      const busy = await this.postgres.query<{ query: string }>(
        `SELECT query FROM pg_stat_activity WHERE application_name LIKE 'onsale%' AND state <> 'idle' AND query NOT LIKE 'SELECT 1%'`,
      );
      if (busy.length === 0 && this.proxy.late === 0) return;
      if (Date.now() > deadline) throw new Error(`the database does not come to rest: ${JSON.stringify(busy)}`);
      await pause(50);
    }
  }

  readLedger(events: readonly InsertedEvent[]): Promise<Ledger> {
    return this.postgres.session((client) =>
      readLedger(
        client,
        events.map(({ id }) => id),
      ),
    );
  }

  /** Stops all of it, whatever state it is in. */
  async close(): Promise<void> {
    await Promise.all(this.replicas.map((replica) => replica.kill()));
    await this.proxy.close();
    await Promise.all([this.postgres, ...this.#others].map((postgres) => postgres.stop('immediate')));
  }
}
