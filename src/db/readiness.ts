/**
 * May this replica get traffic? Asked by load balancers every second or so, so it is cheap, shared and never late: a probe
 * that waits in a storm of buyers until it is taken for a failure would turn an overload into an outage.
 */
import { schemaState } from './migrate.js';
import type { Pool } from './client.js';
import { classify } from './faults.js';

export type ReadyState = { readonly ready: true } | { readonly ready: false; readonly reason: string };

export interface Readiness {
  check(): Promise<ReadyState>;
  /** Once the database was seen to have exactly the migrations of this version. Later ones do not take it back. */
  schemaKnown(): boolean;
  /** From here on: not ready. */
  drain(): void;
}

/** How long a probe waits for the database at most. */
const patienceMs = 200;
/** A database that answered so lately is busy, not away. */
const benefitMs = 3_000;

export function createReadiness(pool: Pick<Pool, 'prisma' | 'renew'>): Readiness {
  const db = pool.prisma;
  let known = false;
  let draining = false;
  let readyAtMs = -Infinity;
  let running: Promise<ReadyState> | undefined;

  async function look(): Promise<ReadyState> {
    try {
      if (known) {
        const [row] = await db.$queryRaw<{ readOnly: boolean }[]>`SELECT current_setting('transaction_read_only')::boolean AS "readOnly"`;
        if (row?.readOnly === false) return { ready: true };
        pool.renew(); // the address may lead to another primary by now
        return { ready: false, reason: 'The database takes no writes.' };
      }
      const { missing, foreign } = await schemaState(db);
      if (missing.length > 0)
        return {
          ready: false,
          reason: `The database lacks ${missing.join(', ')}: run "npm run db:migrate" (in the image: node dist/server.js migrate).`,
        };
      if (foreign.length > 0) return { ready: false, reason: `The database has migrations unknown here: ${foreign.join(', ')}.` };
      known = true;
      return { ready: true };
    } catch (error) {
      return { ready: false, reason: `The database does not answer: ${classify(error).name}.` };
    }
  }

  /** Probes that come while one is under way share it. */
  function shared(): Promise<ReadyState> {
    running ??= look().then((state) => {
      running = undefined;
      readyAtMs = state.ready ? performance.now() : -Infinity;
      return state;
    });
    return running;
  }

  return {
    check: async () => {
      if (draining) return { ready: false, reason: 'This replica is shutting down.' };
      return withPatience(shared(), () =>
        performance.now() - readyAtMs < benefitMs ? { ready: true } : { ready: false, reason: 'The database does not answer in time.' },
      );
    },
    schemaKnown: () => known,
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
