/** Faults without end, one kind after the other in an order and at moments drawn from the seed. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Violation } from './checker.js';
import { type Callers, droppedBy } from './drain.js';
import type { CommitFate, Mishap } from './proxy.js';
import { Random } from './random.js';
import type { Stage } from './stage.js';
import { count, type Tally, tallyOf } from './trial.js';
import type { CommitWay } from './wire.js';

/** Resolves when it is over. @returns false if nothing was there to befall */
type Injection = () => boolean | Promise<boolean>;

const commitFates: readonly CommitFate[] = ['cut before', 'cut within', 'cut after', 'delivered late'];
const commitWays: readonly CommitWay[] = ['by COMMIT', 'by itself'];
const commitKind = (way: CommitWay, fate: CommitFate) => `${way === 'by COMMIT' ? 'COMMIT' : 'statement'} ${fate}`;
/** Mishaps laid in wait for the next commits; more would only queue up. */
const mishapsMax = 3;

/** Some arrive after the deadline of the purchases that they carry. */
const lateMostMs = 2_500;

/** Backends of the sale at work, if there are any; else any of the API's. */
const backendsQuery = `
  SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'onsale%'
   ORDER BY state = 'idle', application_name <> 'onsale sale', random() LIMIT 1`;

export class Storm {
  readonly faults: Tally;
  /** What draining replicas did wrong. */
  readonly violations: Violation[] = [];
  readonly #stage: Stage;
  readonly #random: Random;
  readonly #loops: Promise<void>[] = [];
  readonly #mishaps: Record<CommitWay, Mishap[]> = { 'by COMMIT': [], 'by itself': [] };
  #crowd: Callers | undefined;
  #over = true;

  constructor(stage: Stage, seed: number) {
    this.#stage = stage;
    this.#random = new Random(seed, 'storm');
    const commitKinds = commitWays.flatMap((way) => commitFates.map((fate) => commitKind(way, fate)));
    this.faults = tallyOf(...commitKinds, ...Object.keys(this.#small), ...Object.keys(this.#large), 'buyer hung up');
    stage.proxy.mishap = (way) => this.#mishaps[way].shift();
    stage.proxy.happened = (fate, way) => {
      count(this.faults, commitKind(way, fate));
    };
  }

  start(crowd: Callers): void {
    this.#over = false;
    this.#crowd = crowd;
    this.#loops.push(
      this.#loop(
        commitWays.flatMap((way) => commitFates.map((fate) => [undefined, () => this.#layInWait(way, fate)])),
        20,
        120,
      ),
      this.#loop(Object.entries(this.#small), 50, 350),
      this.#loop(Object.entries(this.#large), 1_000, 3_500),
    );
  }

  /** No more; resolves when what was taken away is back. */
  async end(): Promise<void> {
    this.#over = true;
    // Thawing and unlocking join the list while it is waited for.
    while (this.#loops.length > 0) await this.#loops.shift();
    for (const way of commitWays) this.#mishaps[way] = [];
  }

  /** A shuffled deck of faults, again and again, so that chance leaves none out for long. */
  async #loop(deck: readonly (readonly [string | undefined, Injection])[], leastMs: number, mostMs: number): Promise<void> {
    const random = new Random(this.#random.whole(0, 2 ** 31));
    for (;;) {
      for (const [kind, inject] of random.shuffled(deck)) {
        await pause(random.between(leastMs, mostMs));
        if (this.#over) return;
        if ((await inject()) && kind !== undefined) count(this.faults, kind);
      }
    }
  }

  /** Counted by the proxy, when it has happened. */
  #layInWait(way: CommitWay, fate: CommitFate): boolean {
    if (this.#mishaps[way].length >= mishapsMax) return false;
    this.#mishaps[way].push({
      fate,
      lateByMs: this.#random.chance(0.5) ? this.#random.between(0, 300) : this.#random.between(300, lateMostMs),
    });
    return true;
  }

  /** Cheap ones: several of them each second. */
  readonly #small: Readonly<Record<string, Injection>> = {
    'connections reset': () =>
      this.#disturb((link) => {
        link.reset();
      }),
    'connections stalled': () => {
      const forMs = this.#random.between(50, 500);
      return this.#disturb((link) => {
        link.stall(forMs);
      });
    },
    'backend terminated': () => this.#strike((pid) => this.#stage.postgres.query('SELECT pg_terminate_backend($1)', [pid])),
    'backend cancelled': () => this.#strike((pid) => this.#stage.postgres.query('SELECT pg_cancel_backend($1)', [pid])),
    'backend frozen': () =>
      this.#strike((pid) => {
        process.kill(pid, 'SIGSTOP');
        this.#loops.push(thaw(pid, this.#random.between(50, 1_200)));
      }),
    'event locked by another session': () => {
      this.#loops.push(this.#lockEvent(this.#random.between(50, 600)));
      return true;
    },
  };

  /** Dear ones: each takes a process away for a while. */
  readonly #large: Readonly<Record<string, Injection>> = {
    'network silent': async () => {
      this.#stage.proxy.fallSilent();
      await pause(this.#random.between(200, 1_600));
      this.#stage.proxy.speak();
      return true;
    },
    'replica killed': async () => {
      const replica = this.#random.pick(this.#stage.replicas);
      await replica.kill();
      await pause(this.#random.between(0, 300));
      await replica.start();
      return true;
    },
    'replica drained': async () => {
      const replica = this.#random.pick(this.#stage.replicas);
      this.violations.push(...(await droppedBy(replica, this.#crowd!)));
      await replica.start();
      return true;
    },
    'Postgres crashed': async () => {
      await this.#stage.postgres.stop('immediate');
      await pause(this.#random.between(0, 1_000));
      await this.#stage.postgres.start();
      return true;
    },
  };

  #disturb(work: (link: Stage['proxy']['links'][number]) => void): boolean {
    const links = this.#random.shuffled(this.#stage.proxy.links).slice(0, this.#random.whole(1, 8));
    links.forEach(work);
    return links.length > 0;
  }

  async #strike(work: (pid: number) => unknown): Promise<boolean> {
    try {
      const [backend] = await this.#stage.postgres.query<{ pid: number }>(backendsQuery);
      if (!backend) return false;
      await work(backend.pid);
      return true;
    } catch {
      return false; // Postgres is away itself, or the backend is
    }
  }

  async #lockEvent(forMs: number): Promise<void> {
    await this.#stage.postgres
      .session(async (client) => {
        await client.query('BEGIN');
        await client.query('SELECT FROM events WHERE id = (SELECT id FROM events ORDER BY updated_at DESC LIMIT 1) FOR UPDATE');
        await pause(forMs);
      })
      .catch(() => undefined); // Postgres was stopped, and with it the session
  }
}

async function thaw(pid: number, afterMs: number): Promise<void> {
  await pause(afterMs);
  try {
    process.kill(pid, 'SIGCONT');
  } catch {
    return; // it was ended while it was frozen
  }
}
