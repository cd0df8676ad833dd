/**
 * The environment, read once. Every limit that an operator may set is a line here: its default, its unit (last in the
 * name) and its reason. The relations between limits are asserted at start; a wrong value stops it with one sentence.
 */
import { z } from 'zod';

const count = (fallback: number, max: number) => z.coerce.number().int().min(1).max(max).default(fallback);
const milliseconds = (fallback: number) => z.coerce.number().int().min(1).max(3_600_000).default(fallback);

const environment = z.object({
  PORT: z.coerce.number().int().min(0).max(65_535).default(3000),
  HOST: z.string().min(1).optional(),
  /** Where /healthz, /readyz and /metrics are, and nothing else; 0 picks a free port and prints it. Unset: on PORT, with the buyers. */
  OPERATIONS_PORT: z.coerce.number().int().min(0).max(65_535).optional(),
  DATABASE_URL: z
    .string()
    .regex(/^postgres(ql)?:\/\//, 'must start with postgresql://')
    .refine((url) => URL.canParse(url), 'is no URL; its port must be a number, and what is special in its password written as %XX')
    .optional(),
  ADMIN_TOKEN: z
    .string()
    .regex(/^[\x21-\x7e]{16,}$/, 'must be at least 16 visible ASCII characters')
    .optional(),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent']).default('info'),
  /** Where the embedded Postgres keeps its data; unset: .onsale in the checkout (as root: below /var/lib/onsale). */
  EMBEDDED_DATA_DIR: z.string().min(1).optional(),
  /** Off: neither /docs nor /openapi.json is served, for whoever does not want to publish them. */
  DOCS: z.enum(['on', 'off']).default('on'),

  // --- connections: what Postgres sees from one replica, never more -----------------------------------------------
  /** Sale transactions at once: two fast, two locked, one that reads snapshots, one that waits for rows that other sessions hold. */
  SALE_CONNECTIONS_MAX: z.coerce.number().int().min(4).max(100).default(6),
  /** Availability reads are coalesced, so that two queries serve everybody; look-ups and lists have one each, beside one of those. */
  READ_CONNECTIONS_MAX: z.coerce.number().int().min(3).max(100).default(3),
  /** A share of its own: a storm of buyers must not lock the admin and the readiness probe out. */
  ADMIN_CONNECTIONS_MAX: count(2, 100),

  // --- batches --------------------------------------------------------------------------------------------------
  /** Requests that one transaction may carry; at the speed of the HTTP layer a batch rarely reaches it. */
  BATCH_REQUESTS_MAX: count(500, 10_000),
  /** Tickets that one transaction may carry, so that it stays far from the statement timeout. One purchase has up to 1,000. */
  BATCH_TICKETS_MAX: z.coerce.number().int().min(1_000).max(1_000_000).default(5_000),

  // --- the line -------------------------------------------------------------------------------------------------
  /** Purchases admitted and not yet answered, of all events: bounds the memory of the process. */
  PURCHASES_IN_PROGRESS_MAX: count(20_000, 1_000_000),
  /** The same for one event, so that a stormed one leaves room for the others. */
  EVENT_PURCHASES_IN_PROGRESS_MAX: count(10_000, 1_000_000),
  /** However slow the pace, so many are let in for one event: a crowd for a small quota gets its answers, not a refusal to look. */
  EVENT_PURCHASES_IN_PROGRESS_MIN: count(2_000, 1_000_000),
  /** Between those two the line may be as long as is served in this time, by the pace of late: the wait of the last in it. */
  QUEUE_WAIT_MS: milliseconds(300),
  /** Availability reads admitted and not yet answered. */
  READS_IN_PROGRESS_MAX: count(20_000, 1_000_000),

  /** Look-ups of purchases under way; each needs a connection of the reads for a moment. */
  LOOKUPS_IN_PROGRESS_MAX: count(1_000, 100_000),
  /** The same for lists of events, apart: whoever was told `outcome-unknown` must be able to look beside a flood of them. */
  LISTS_IN_PROGRESS_MAX: count(1_000, 100_000),
  /** Requests of the admin under way. */
  ADMIN_IN_PROGRESS_MAX: count(1_000, 100_000),
  /** Answers of /docs and /openapi.json under way, each for a second at least: four people may open the page in one second. */
  DOCS_IN_PROGRESS_MAX: count(20, 10_000),

  // --- clients --------------------------------------------------------------------------------------------------
  /** Open connections; idle ones cost some kilobytes. The process needs as many file descriptors, and some more. */
  CONNECTIONS_MAX: count(15_000, 1_000_000),
  /**
   * Open connections of one address (with IPv6: of one /56); 0: no bound. Unset, it is an eighth of CONNECTIONS_MAX: one machine
   * cannot hold them all, and a company or a campus behind one address still has 1,875. The machine's own addresses
   * (127.0.0.0/8, ::1) have four fifths, because they belong to a proxy beside the replica or to a benchmark. Where a
   * proxy is trusted (TRUST_PROXY_HOPS) there is no bound unless it is set: every connection comes from the proxy.
   */
  CONNECTIONS_PER_ADDRESS_MAX: z.coerce.number().int().min(0).max(1_000_000).optional(),
  /** Open connections to OPERATIONS_PORT: a few probes and scrapes at a time. */
  OPERATIONS_CONNECTIONS_MAX: count(100, 10_000),
  /** Requests of one address; 0: any number, because a load balancer knows better. Counted by each replica for itself. */
  CLIENT_REQUESTS_PER_MINUTE_MAX: z.coerce.number().int().min(0).max(1_000_000).default(0),
  /** Proxies in front that append the client's address to X-Forwarded-For. One more than there are lets clients choose their address. */
  TRUST_PROXY_HOPS: z.coerce.number().int().min(0).max(10).default(0),
  /** A refusal costs the event loop half of a purchase; so much is left for them: whoever comes faster waits for his refusal. */
  REFUSALS_PER_SECOND_MAX: count(3_000, 1_000_000),
  /** Every request waits for the event loop; when it is later than this, nobody is let in beyond the next batch. */
  EVENT_LOOP_LAG_MAX_MS: milliseconds(1_000),

  // --- deadlines: one ladder, each step inside the next -----------------------------------------------------------
  /** Waiting for the event's row, held by another replica's batch for a few milliseconds. */
  LOCK_TIMEOUT_MS: milliseconds(1_000),
  /** One statement of a sale or a read. */
  STATEMENT_TIMEOUT_MS: milliseconds(2_000),
  /** A whole sale transaction (Postgres 17 and newer), and any session left idle inside one (all versions). */
  TRANSACTION_TIMEOUT_MS: milliseconds(3_000),
  /** A reply that did not come by then never will: the socket is destroyed, because nothing else ends a silent one. */
  CLIENT_DEADLINE_MS: milliseconds(4_000),
  /** A buyer's request from admission to its answer. */
  PURCHASE_DEADLINE_MS: milliseconds(5_000),
  /** A whole HTTP request, from its first byte to its last: cuts off clients that send slowly. */
  REQUEST_TIMEOUT_MS: milliseconds(10_000),
  /**
   * How old an answer may be that rests on a read, if a failover happened meanwhile: so often a connection in use proves by a tiny
   * commit that its server is the primary. Shorter than any cluster takes to notice that its primary is gone, and then no such answer is given.
   */
  READ_FENCE_MS: milliseconds(500),
  /** Where the standby is asynchronous, that commit proves nothing. A connection is replaced at this age, and follows the address. */
  CONNECTION_AGE_MAX_MS: milliseconds(60_000),
  /** Opening a connection to Postgres; shorter than Prisma's wait, so that a request that gave up opens nothing later. */
  CONNECT_TIMEOUT_MS: milliseconds(1_500),
  /** Counting the tickets of an event with ten million of them takes a few seconds. */
  AUDIT_TIMEOUT_MS: milliseconds(30_000),
  /** A connection on which nothing moves while a request is under way: a client that does not read its answer. */
  SOCKET_TIMEOUT_MS: milliseconds(60_000),
  /** A complete answer that its client has not taken by then is dropped with its connection; the largest, 1.7 MB, needs 60 kB/s. */
  ANSWER_TAKEN_TIMEOUT_MS: milliseconds(30_000),
  /** An idle connection of a client; longer than a load balancer's (usually 60 s), or its next request meets a closed one. */
  KEEP_ALIVE_TIMEOUT_MS: milliseconds(75_000),
  /** After SIGTERM: how long to go on listening while not ready, so that a load balancer looks elsewhere first. */
  DRAIN_DELAY_MS: z.coerce.number().int().min(0).max(60_000).default(0),
});

/** Pairs that must stay in this order; the smaller one could otherwise never take effect. */
const ladder = [
  ['LOCK_TIMEOUT_MS', 'STATEMENT_TIMEOUT_MS'],
  ['STATEMENT_TIMEOUT_MS', 'TRANSACTION_TIMEOUT_MS'],
  ['TRANSACTION_TIMEOUT_MS', 'CLIENT_DEADLINE_MS'],
  ['CLIENT_DEADLINE_MS', 'PURCHASE_DEADLINE_MS'],
  ['PURCHASE_DEADLINE_MS', 'REQUEST_TIMEOUT_MS'],
  ['REQUEST_TIMEOUT_MS', 'KEEP_ALIVE_TIMEOUT_MS'],
  ['CONNECT_TIMEOUT_MS', 'STATEMENT_TIMEOUT_MS'],
  ['READ_FENCE_MS', 'CLIENT_DEADLINE_MS'],
  ['CLIENT_DEADLINE_MS', 'CONNECTION_AGE_MAX_MS'],
  ['STATEMENT_TIMEOUT_MS', 'AUDIT_TIMEOUT_MS'],
  ['AUDIT_TIMEOUT_MS', 'SOCKET_TIMEOUT_MS'],
  ['QUEUE_WAIT_MS', 'PURCHASE_DEADLINE_MS'],
] as const;

const checked = environment.superRefine((env, context) => {
  for (const [smaller, larger] of ladder) {
    if (env[smaller] >= env[larger]) {
      const message = `(${String(env[smaller])}) must be less than ${larger} (${String(env[larger])})`;
      context.addIssue({ code: 'custom', path: [smaller], message });
    }
  }
  if (env.EVENT_PURCHASES_IN_PROGRESS_MAX > env.PURCHASES_IN_PROGRESS_MAX) {
    context.addIssue({ code: 'custom', path: ['EVENT_PURCHASES_IN_PROGRESS_MAX'], message: 'must not exceed PURCHASES_IN_PROGRESS_MAX' });
  }
  if (env.DATABASE_URL !== undefined && env.ADMIN_TOKEN === undefined) {
    context.addIssue({ code: 'custom', path: ['ADMIN_TOKEN'], message: 'is required when DATABASE_URL is set' });
  }
  if (env.OPERATIONS_PORT === env.PORT && env.PORT !== 0) {
    const message = `(${String(env.PORT)}) must be another port than PORT; unset, probes and metrics are on PORT`;
    context.addIssue({ code: 'custom', path: ['OPERATIONS_PORT'], message });
  }
});

const [shareOfOneAddress, shareOfLoopback] = [1 / 8, 4 / 5];

/** Defaults that depend on other settings. */
const complete = checked.transform((env) => {
  const given = env.CONNECTIONS_PER_ADDRESS_MAX;
  const bound = (share: number) => given ?? (env.TRUST_PROXY_HOPS > 0 ? 0 : Math.ceil(env.CONNECTIONS_MAX * share));
  return { ...env, CONNECTIONS_PER_ADDRESS_MAX: bound(shareOfOneAddress), connectionsPerLoopbackAddressMax: bound(shareOfLoopback) };
});

export type Config = Readonly<z.infer<typeof complete>>;

/** The message names the variable; the process prints it alone and ends. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * @param env the environment; empty strings count as unset, as in compose files
 * @throws ConfigError with one sentence per wrong variable
 */
export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const result = complete.safeParse(given);
  if (result.success) return result.data;
  const sentences = result.error.issues.map((issue) => `${issue.path.join('.')} ${describe(issue)}.`);
  throw new ConfigError(sentences.join('\n'));
}

function describe(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return 'must be a whole number';
    case 'too_small':
      return `must be at least ${String(issue.minimum)}`;
    case 'too_big':
      return `must be at most ${String(issue.maximum)}`;
    case 'invalid_value':
      return `must be one of ${issue.values.map(String).join(', ')}`;
    default:
      return issue.message;
  }
}

/** The one setting that migrating needs. @throws ConfigError */
export function readMigrationUrl(env: NodeJS.ProcessEnv = process.env): string {
  const result = environment.shape.DATABASE_URL.safeParse(env['DATABASE_URL'] === '' ? undefined : env['DATABASE_URL']);
  if (result.data !== undefined) return result.data;
  throw new ConfigError('DATABASE_URL must be set to migrate, and start with postgresql://; the embedded Postgres migrates itself.');
}
