/** A balancer, the replicas behind it, their Postgres, and what one sees from before the balancer. */
import { test } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { Balancer, haproxyVersion } from '../../deploy/balancer.js';
import { freePort } from '../faults/postgres.js';
import { ReplicaProcess } from '../faults/replicaProcess.js';
import { httpClient, type NamedClient } from '../faults/client.js';
import { Stage } from '../faults/stage.js';

const haproxy = haproxyVersion();
if (haproxy === undefined) process.stdout.write('Skipped: replicas behind HAProxy, which is not on PATH here (apt-get install haproxy).\n');
export const testWithHaproxy = haproxy === undefined ? test.skip : test;

/** As in the compose file, but for the number of the port. */
const asInCompose = { DRAIN_DELAY_MS: '3000', OPERATIONS_PORT: '0' };
const noticeTimeoutMs = 10_000;

type ReplicaOptions = NonNullable<ConstructorParameters<typeof ReplicaProcess>[2]>;

/** From before the signal until the process was gone. */
export interface Kill {
  readonly fromMs: number;
  readonly toMs: number;
}

export class Company {
  /** By slot of the balancer, from 1. */
  readonly #bySlot = new Map<number, ReplicaProcess>();

  private constructor(
    readonly stage: Stage,
    readonly balancer: Balancer,
    /** The balancer's: http://127.0.0.1:port */
    readonly address: string,
  ) {}

  /** @param options `env`: more variables of haproxy.cfg; `file`: in its place */
  static async open(replicas: number, options: { env?: Record<string, string>; file?: string } = {}): Promise<Company> {
    const stage = await Stage.open(0);
    try {
      const bind = `127.0.0.1:${String(await freePort())}`;
      const company = new Company(stage, await Balancer.start({ bind, ...options }), `http://${bind}`);
      await Promise.all(Array.from({ length: replicas }, (_, index) => company.add(index + 1)));
      return company;
    } catch (error) {
      await stage.close();
      throw error;
    }
  }

  /** Where buyers go. */
  get client(): NamedClient {
    return httpClient('balancer', () => this.address);
  }

  replica(slot: number): ReplicaProcess {
    return this.#bySlot.get(slot)!;
  }

  /** A replica that is ready, and stopped at the end, whatever becomes of it; the balancer does not know it yet. */
  async start(name: string, options: ReplicaOptions = {}): Promise<ReplicaProcess> {
    const replica = this.recruit(name, options);
    await replica.start();
    await replica.untilReady();
    return replica;
  }

  /** The same, not even begun. */
  recruit(name: string, options: ReplicaOptions = {}): ReplicaProcess {
    const url = this.stage.postgres.url();
    const replica = new ReplicaProcess(name, url, { ...options, env: { ...asInCompose, ...options.env } });
    this.stage.replicas.push(replica);
    return replica;
  }

  /** From here on it gets requests. */
  async admit(slot: number, replica: ReplicaProcess): Promise<void> {
    await this.balancer.add(slot, replica.address!, replica.operationsAddress!);
    this.#bySlot.set(slot, replica);
  }

  /** Another replica, from its start to its first request. */
  async add(slot: number, options: ReplicaOptions = {}): Promise<void> {
    await this.admit(slot, await this.start(`replica ${String(slot)}`, options));
  }

  /** SIGKILL; resolves when the balancer has noticed by itself. @returns when requests may have been lost */
  async kill(slot: number): Promise<Kill> {
    const fromMs = performance.now();
    await this.replica(slot).kill();
    const toMs = performance.now();
    await this.untilStanding(slot, (status) => status.startsWith('DOWN'));
    await this.#forget(slot);
    return { fromMs, toMs };
  }

  /** SIGTERM; the balancer does not learn of it. @returns how it ended: 0, if everything that was admitted was answered first */
  async drain(slot: number): Promise<number | null> {
    const exitCode = await this.replica(slot).drain();
    await this.#forget(slot);
    return exitCode;
  }

  async #forget(slot: number): Promise<void> {
    await this.balancer.remove(slot);
    await this.dismiss(this.replica(slot));
    this.#bySlot.delete(slot);
  }

  /** One that gets no requests any more. */
  async dismiss(replica: ReplicaProcess): Promise<void> {
    await replica.kill();
    this.stage.replicas.splice(this.stage.replicas.indexOf(replica), 1);
  }

  async untilStanding(slot: number, is: (status: string) => boolean): Promise<void> {
    const deadline = Date.now() + noticeTimeoutMs;
    for (;;) {
      const standings = await this.balancer.standings();
      if (is(standings.find(({ name }) => name === `api${String(slot)}`)?.status ?? 'gone')) return;
      if (Date.now() > deadline) throw new Error(`the balancer does not notice: ${JSON.stringify(standings)}`);
      await pause(50);
    }
  }

  async close(): Promise<void> {
    this.balancer.kill();
    await this.balancer.stop();
    await this.stage.close();
  }
}
