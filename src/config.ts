/**
 * The environment, read once. Every limit that an operator can set is declared here with its default, its unit (last in the
 * name) and its reason. The relations between limits are asserted at start; a wrong value stops the process with one sentence.
 */
import { z } from 'zod';
import { describe } from './config/describe.js';
import { contradictions } from './config/contradictions.js';
import { withPlainSslMode, wrongIn } from './config/databaseUrl.js';

const count = (fallback: number, max: number) => z.coerce.number().int().min(1).max(max).default(fallback);
const milliseconds = (fallback: number) => z.coerce.number().int().min(1).max(3_600_000).default(fallback);

const isWithoutCredentials = (url: string) => URL.canParse(url) && new URL(url).username + new URL(url).password === '';

const environment = z.object({
  PORT: z.coerce.number().int().min(0).max(65_535).default(3000),
  HOST: z.string().min(1).optional(),
  /** A separate port that serves only /healthz, /readyz and /metrics; 0 picks a free port and prints it. Unset: they are on PORT. */
  OPERATIONS_PORT: z.coerce.number().int().min(0).max(65_535).optional(),
  DATABASE_URL: z
    .string()
    .regex(/^postgres(ql)?:\/\//, 'must start with postgresql://')
    .refine((url) => wrongIn(url) === undefined, { error: ({ input }) => wrongIn(String(input)) ?? '' })
    .transform(withPlainSslMode)
    .optional(),
  ADMIN_TOKEN: z
    .string()
    .regex(/^[\x21-\x7e]{16,}$/, 'must be at least 16 visible ASCII characters')
    .optional(),
  /** The token of the seller's back end, which confirms purchases that are held. Unset, only the admin's token confirms. */
  SELLER_TOKEN: z
    .string()
    .regex(/^[\x21-\x7e]{16,}$/, 'must be at least 16 visible ASCII characters')
    .optional(),
  /** What signs the tokens of buyers: a shared secret (HS256) … */
  BUYER_JWT_SECRET: z
    .string()
    .refine((secret) => Buffer.byteLength(secret) >= 32, 'must have at least 32 bytes')
    .optional(),
  /** … or the issuer's keys at this address (RS256, ES256, EdDSA). With neither of the two, buyers need no token. */
  BUYER_JWKS_URL: z
    .string()
    .regex(/^https?:\/\//, 'must start with https:// or http://')
    .refine((url) => isWithoutCredentials(url), 'must be a valid URL without a user and a password')
    .optional(),
  /** The `iss` and the `aud` of every token of a buyer; an issuer usually signs tokens for other services too. */
  BUYER_JWT_ISSUER: z.string().optional(),
  BUYER_JWT_AUDIENCE: z.string().optional(),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent']).default('info'),
  /** On: a line per request on PORT. Under full load 0.92 of the throughput was left; 0.48 with a slow reader of a pipe. */
  ACCESS_LOG: z.enum(['on', 'off']).default('off'),
  /** The data directory of the embedded Postgres. Unset: .onsale in the checkout (as root: a directory below /var/lib/onsale). */
  EMBEDDED_DATA_DIR: z.string().min(1).optional(),
  /** Off: the replica serves neither /docs nor /openapi.json, for operators who do not want to publish them. */
  DOCS: z.enum(['on', 'off']).default('on'),

  // --- connections of one replica to Postgres -----------------------------------------------------------------------
  /**
   * Concurrent sale transactions. Of the default, two are for the fast path, two for the locked path, two for confirmations, one for
   * the snapshot path, and one for waiting on rows that other sessions keep locked.
   */
  SALE_CONNECTIONS_MAX: z.coerce.number().int().min(6).max(100).default(8),
  /** Availability reads are coalesced, so two queries at a time serve all of them. Look-ups and lists may use one connection each. */
  READ_CONNECTIONS_MAX: z.coerce.number().int().min(3).max(100).default(3),
  /** The admin has a pool of its own, so that a flash sale cannot lock it out. */
  ADMIN_CONNECTIONS_MAX: count(2, 100),
  /**
   * Downloads of tickets at the same time; any further one is refused. Each keeps a connection, and on the server a temporary file of
   * about 130 MB for each million of tickets, until its client has read everything.
   */
  EXPORT_CONNECTIONS_MAX: count(1, 10),

  // --- batches --------------------------------------------------------------------------------------------------
  /** Requests in one transaction. At the speed of the HTTP layer a batch rarely reaches this limit. */
  BATCH_REQUESTS_MAX: count(500, 10_000),
  /** Tickets in one transaction, so that it stays far below the statement timeout. One purchase has up to 1,000. */
  BATCH_TICKETS_MAX: z.coerce.number().int().min(1_000).max(1_000_000).default(5_000),

  // --- background work --------------------------------------------------------------------------------------------
  /** The pause between two sweeps of expired holds. Nothing depends on them but the cost of reads while many holds are due. */
  SWEEP_INTERVAL_MS: milliseconds(1_000),
  /** Metrics of what is left, held and sold, for this number of the newest events; 0: none. Each adds three series to a scrape. */
  EVENT_METRICS_MAX: z.coerce.number().int().min(0).max(1_000).default(20),

  // --- requests in progress ---------------------------------------------------------------------------------------
  /** Purchases admitted and not yet answered, for all events together. It bounds the memory of the process. */
  PURCHASES_IN_PROGRESS_MAX: count(20_000, 1_000_000),
  /** The same for one event, so that one popular event leaves room for the others. */
  EVENT_PURCHASES_IN_PROGRESS_MAX: count(10_000, 1_000_000),
  /**
   * Purchases admitted for one event however low the throughput is. With this floor, a crowd at an event with a small quota gets real
   * answers (sold, or sold out) instead of `overloaded`. Unset, it is 2,000, or EVENT_PURCHASES_IN_PROGRESS_MAX if that is less.
   */
  EVENT_PURCHASES_IN_PROGRESS_MIN: z.coerce.number().int().min(1).max(1_000_000).optional(),
  /** Between the two limits above, an event admits what recent throughput serves in this time: the longest expected wait. */
  QUEUE_WAIT_MS: milliseconds(300),
  /** Availability reads admitted and not yet answered. */
  READS_IN_PROGRESS_MAX: count(20_000, 1_000_000),

  /** Look-ups of purchases in progress. Each needs a connection of the read pool for a moment. */
  LOOKUPS_IN_PROGRESS_MAX: count(1_000, 100_000),
  /** Lists of events in progress. Separate from look-ups: after `outcome-unknown` a buyer must get through a flood of list requests. */
  LISTS_IN_PROGRESS_MAX: count(1_000, 100_000),
  /** Admin requests in progress. */
  ADMIN_IN_PROGRESS_MAX: count(1_000, 100_000),
  /** Answers of /docs and /openapi.json in progress, each counted for at least a second. Four people can open the page in one second. */
  DOCS_IN_PROGRESS_MAX: count(20, 10_000),

  // --- tokens of buyers -------------------------------------------------------------------------------------------
  /** Verified tokens that are remembered; these take 11 MB. More buyers than this at once have their tokens verified more often. */
  BUYER_TOKENS_CACHED_MAX: count(50_000, 1_000_000),
  /**
   * A token is verified again after this time. A key that the issuer has removed works for this time, one and a half times
   * BUYER_JWKS_REFRESH_MS, and BUYER_JWKS_TIMEOUT_MS: 57 s.
   */
  BUYER_TOKEN_CACHED_MS: milliseconds(25_000),
  /** Tokens being verified: a quarter of a second's work. Requests with further tokens are refused. */
  BUYER_TOKENS_VERIFYING_MAX: count(2_000, 100_000),
  /** Fetching the issuer's keys. A purchase waits for them only if there are none, or the token names an unknown key. */
  BUYER_JWKS_TIMEOUT_MS: milliseconds(2_000),
  /** The keys are fetched this often, varied by half so that the replicas do not ask in step. */
  BUYER_JWKS_REFRESH_MS: milliseconds(20_000),
  /** Between two fetches that tokens with unknown keys cause. It bounds what such tokens cost the issuer. */
  BUYER_JWKS_COOLDOWN_MS: milliseconds(5_000),
  /** While the keys cannot be fetched, known ones verify tokens until they have this age. */
  BUYER_JWKS_STALE_MAX_MS: z.coerce.number().int().min(1).max(86_400_000).default(3_600_000),

  // --- clients --------------------------------------------------------------------------------------------------
  /** Open client connections; an idle one costs some kilobytes. The process needs a few more file descriptors than this. */
  CONNECTIONS_MAX: count(15_000, 1_000_000),
  /**
   * Open connections from one address (IPv6: one /56); 0: no limit. Unset, it is an eighth of CONNECTIONS_MAX: one machine
   * cannot hold all of them, and a company or a campus behind one address still has 1,875. Loopback addresses
   * (127.0.0.0/8, ::1) get four fifths, because they belong to a proxy beside the replica or to a benchmark. Where a
   * proxy is trusted (TRUST_PROXY_HOPS), unset means no limit, because every connection comes from the proxy.
   */
  CONNECTIONS_PER_ADDRESS_MAX: z.coerce.number().int().min(0).max(1_000_000).optional(),
  /** Open connections to OPERATIONS_PORT. Probes and scrapes need only a few. */
  OPERATIONS_CONNECTIONS_MAX: count(100, 10_000),
  /** Requests per minute from one address, counted by each replica separately. 0: no limit, because a load balancer limits better. */
  CLIENT_REQUESTS_PER_MINUTE_MAX: z.coerce.number().int().min(0).max(1_000_000).default(0),
  /** The exact number of proxies that append to X-Forwarded-For. If it is too high, clients can choose their own address. */
  TRUST_PROXY_HOPS: z.coerce.number().int().min(0).max(10).default(0),
  /** A refusal costs the event loop half as much as a purchase. Refusals beyond this rate are delayed. */
  REFUSALS_PER_SECOND_MAX: count(3_000, 1_000_000),
  /** Every request waits for the event loop. While its lag exceeds this, an event admits no more than fit into its next batch. */
  EVENT_LOOP_LAG_MAX_MS: milliseconds(1_000),

  // --- deadlines; their order is asserted below -------------------------------------------------------------------
  /** Waiting for an event's row lock, which a batch of another replica holds for a few milliseconds. */
  LOCK_TIMEOUT_MS: milliseconds(1_000),
  /** One statement, of a sale or of a read. */
  STATEMENT_TIMEOUT_MS: milliseconds(2_000),
  /** A whole sale transaction (Postgres 17 and newer), and a session that is idle in a transaction (all versions). */
  TRANSACTION_TIMEOUT_MS: milliseconds(3_000),
  /** Waiting for a reply from Postgres. After it the socket is destroyed, because nothing else ends a silent connection. */
  CLIENT_DEADLINE_MS: milliseconds(4_000),
  /** A purchase request, from admission to its answer. */
  PURCHASE_DEADLINE_MS: milliseconds(5_000),
  /** Receiving a whole HTTP request, from its first byte to its last. It cuts off clients that send slowly. */
  REQUEST_TIMEOUT_MS: milliseconds(10_000),
  /**
   * How stale a read may be after a failover. A connection in use proves this often, with a tiny commit, that its server is still
   * the primary. Keep it shorter than the failover detection of the cluster: then no stale read is ever returned.
   */
  READ_FENCE_MS: milliseconds(500),
  /**
   * With an asynchronous standby that commit proves nothing. So a connection is replaced at this age, and the replacement reaches
   * whichever server the address then points to.
   */
  CONNECTION_AGE_MAX_MS: milliseconds(60_000),
  /** Opening a connection to Postgres. Shorter than Prisma's wait, so that an abandoned request opens no connection later. */
  CONNECT_TIMEOUT_MS: milliseconds(1_500),
  /** An audit, or the snapshot of a download. Counting ten million tickets takes a few seconds, and writing out one million three. */
  AUDIT_TIMEOUT_MS: milliseconds(30_000),
  /** A connection without traffic while a request is in progress, such as one whose client does not read its answer. */
  SOCKET_TIMEOUT_MS: milliseconds(60_000),
  /**
   * The time a client has to read a complete answer, or each part (a thousand tickets) of a download; then its connection is closed. The
   * largest answer, 1.7 MB, needs 60 kB/s; a download usually 4 kB/s.
   */
  ANSWER_TAKEN_TIMEOUT_MS: milliseconds(30_000),
  /** An idle client connection. Longer than the load balancer's timeout (usually 60 s), or it reuses a connection just closed here. */
  KEEP_ALIVE_TIMEOUT_MS: milliseconds(75_000),
  /** After SIGTERM the replica is not ready and listens for this long, so that load balancers stop sending to it first. */
  DRAIN_DELAY_MS: z.coerce.number().int().min(0).max(60_000).default(0),
});

export type Settings = Readonly<z.infer<typeof environment>>;

const checked = environment.superRefine((env, context) => {
  for (const { name, message } of contradictions(env)) context.addIssue({ code: 'custom', path: [name], message });
});

const [shareOfOneAddress, shareOfLoopback] = [1 / 8, 4 / 5];
const eventFloor = 2_000;

/** Fills in the defaults that depend on other settings. */
const complete = checked.transform((env) => {
  const given = env.CONNECTIONS_PER_ADDRESS_MAX;
  const bound = (share: number) => given ?? (env.TRUST_PROXY_HOPS > 0 ? 0 : Math.ceil(env.CONNECTIONS_MAX * share));
  return {
    ...env,
    EVENT_PURCHASES_IN_PROGRESS_MIN: env.EVENT_PURCHASES_IN_PROGRESS_MIN ?? Math.min(eventFloor, env.EVENT_PURCHASES_IN_PROGRESS_MAX),
    CONNECTIONS_PER_ADDRESS_MAX: bound(shareOfOneAddress),
    connectionsPerLoopbackAddressMax: bound(shareOfLoopback),
  };
});

export type Config = Readonly<z.infer<typeof complete>>;

/** A wrong setting. The message names the variable; the process prints only the message and exits. */
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

/** The one setting that a migration needs. @throws ConfigError */
export function readMigrationUrl(env: NodeJS.ProcessEnv = process.env): string {
  const result = environment.shape.DATABASE_URL.safeParse(env['DATABASE_URL'] === '' ? undefined : env['DATABASE_URL']);
  if (result.error) throw new ConfigError(result.error.issues.map((issue) => `DATABASE_URL ${describe(issue)}.`).join('\n'));
  if (result.data !== undefined) return result.data;
  throw new ConfigError('To migrate, set DATABASE_URL. The embedded Postgres is migrated when it starts.');
}
