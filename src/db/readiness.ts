/**
 * Readiness: whether this replica can take traffic. Load balancers ask about once a second, so the check is cheap, shared and
 * always answered in time: a probe that times out under load would turn an overload into an outage.
 */
import { recheckSchema, schemaState } from './migrate.js';
import type { Pool } from './client.js';
import { classify } from './faults.js';

export type ReadyState = { readonly ready: true } | { readonly ready: false; readonly reason: string };

export interface Readiness {
  check(): Promise<ReadyState>;
  /** Whether the last check found a schema that this version can use. If it did not, this starts another check. */
  schemaKnown(): boolean;
  /** Makes the replica permanently not ready. */
  drain(): void;
}

const howToMigrate = 'run "npm run db:migrate" (in the image: node dist/server.js migrate)';

const unready = (reason: string): ReadyState => ({ ready: false, reason });

/** The longest wait of a probe for the database. */
const patienceMs = 200;
/** A database that answered this recently counts as busy; if it is down, the running check fails long before this. */
const busyMaxMs = 15_000;
/** A fence is one tiny commit. If it takes this long, the server is not just busy and may no longer be the primary. */
const fencePatienceMs = 1_000;
/** The interval between checks that no probe asked for. */
const checkAgainAfterMs = 500;

export function createReadiness(pool: Pick<Pool, 'prisma' | 'renew' | 'fenceWaitMs'>): Readiness {
  const db = pool.prisma;
  let known = false;
  let draining = false;
  let readyAtMs = -Infinity;
  let checkedAtMs = -Infinity;
  let running: Promise<ReadyState> | undefined;

  async function checkOnce(): Promise<ReadyState> {
    try {
      const { missing, breaking, lacking, readOnly } = known ? await recheckSchema(db) : await schemaState(db);
      known = missing.length === 0 && breaking.length === 0 && lacking.length === 0;
      if (missing.length > 0) return unready(`The database lacks ${missing.join(', ')}: ${howToMigrate}.`);
      if (breaking.length > 0) return unready(`This version is older than ${breaking.join(', ')}, which removed something that it needs.`);
      if (lacking.length > 0) return unready(`The database lacks ${lacking.join(', ')}: it is being restored, or was changed manually.`);
      if (!readOnly) return { ready: true };
      pool.renew(); // the address may point to another primary by now
      return unready('The database is read-only.');
    } catch (error) {
      const fault = classify(error);
      if (!fault.transient) known = false; // for example, a table is missing
      return unready(`The database does not answer: ${fault.name}.`);
    }
  }

  /** Concurrent probes share one check. */
  function shared(): Promise<ReadyState> {
    running ??= checkOnce().then((state) => {
      running = undefined;
      checkedAtMs = performance.now();
      readyAtMs = state.ready ? checkedAtMs : -Infinity;
      return state;
    });
    return running;
  }

  return {
    check: async () => {
      if (draining) return unready('This replica is shutting down.');
      return withPatience(shared(), () =>
        performance.now() - readyAtMs < busyMaxMs && pool.fenceWaitMs() < fencePatienceMs
          ? { ready: true }
          : unready('The database does not answer in time.'),
      );
    },
    schemaKnown: () => {
      if (!known && performance.now() - checkedAtMs > checkAgainAfterMs) void shared();
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
