/**
 * May this replica get traffic? Asked by load balancers every second or so, so it is cheap, shared and never late: a probe
 * that waits in a storm of buyers until it is taken for a failure would turn an overload into an outage.
 */
import { lookAgain, schemaState } from './migrate.js';
import type { Pool } from './client.js';
import { classify } from './faults.js';

export type ReadyState = { readonly ready: true } | { readonly ready: false; readonly reason: string };

export interface Readiness {
  check(): Promise<ReadyState>;
  /** Whether the schema is one that this version can use, as far as was last seen. Where it was not, has another look begun. */
  schemaKnown(): boolean;
  /** From here on: not ready. */
  drain(): void;
}

const howToMigrate = 'run "npm run db:migrate" (in the image: node dist/server.js migrate)';

const unready = (reason: string): ReadyState => ({ ready: false, reason });

/** How long a probe waits for the database at most. */
const patienceMs = 200;
/** A database that answered so lately is busy; if it is away after all, the look under way ends with a fault long before. */
const benefitMs = 15_000;
/** A fence is one tiny commit. One that takes this long does not wait for its turn: the server may not be the primary any more. */
const fencePatienceMs = 1_000;
/** Between two looks that no probe asked for. */
const lookAgainAfterMs = 500;

export function createReadiness(pool: Pick<Pool, 'prisma' | 'renew' | 'fenceWaitMs'>): Readiness {
  const db = pool.prisma;
  let known = false;
  let draining = false;
  let readyAtMs = -Infinity;
  let lookedAtMs = -Infinity;
  let running: Promise<ReadyState> | undefined;

  async function look(): Promise<ReadyState> {
    try {
      const { missing, breaking, lacking, readOnly } = known ? await lookAgain(db) : await schemaState(db);
      known = missing.length === 0 && breaking.length === 0 && lacking.length === 0;
      if (missing.length > 0) return unready(`The database lacks ${missing.join(', ')}: ${howToMigrate}.`);
      if (breaking.length > 0) return unready(`This version is older than ${breaking.join(', ')}, which took something away.`);
      if (lacking.length > 0) return unready(`The database lacks ${lacking.join(', ')}: it is being restored, or was altered by hand.`);
      if (!readOnly) return { ready: true };
      pool.renew(); // the address may lead to another primary by now
      return unready('The database takes no writes.');
    } catch (error) {
      const fault = classify(error);
      if (!fault.transient) known = false; // a table is gone, say
      return unready(`The database does not answer: ${fault.name}.`);
    }
  }

  /** Probes that come while one is under way share it. */
  function shared(): Promise<ReadyState> {
    running ??= look().then((state) => {
      running = undefined;
      lookedAtMs = performance.now();
      readyAtMs = state.ready ? lookedAtMs : -Infinity;
      return state;
    });
    return running;
  }

  return {
    check: async () => {
      if (draining) return unready('This replica is shutting down.');
      return withPatience(shared(), () =>
        performance.now() - readyAtMs < benefitMs && pool.fenceWaitMs() < fencePatienceMs
          ? { ready: true }
          : unready('The database does not answer in time.'),
      );
    },
    schemaKnown: () => {
      if (!known && performance.now() - lookedAtMs > lookAgainAfterMs) void shared();
      return known;
    },
    drain: () => {
      draining = true;
    },
  };
}

function withPatience<T>(promise: Promise<T>, late: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      resolve(late());
    }, patienceMs);
    promise.then(resolve, reject).finally(() => {
      clearTimeout(timer);
    });
  });
}
