/** The relations between settings, asserted at start. */
import type { Settings } from '../config.js';

/** How much longer than its statement an audit may take: its transaction a second, and its connection another. */
export const auditPatienceMs = 2_000;

export interface Contradiction {
  readonly name: keyof Settings;
  /** Continues a sentence that begins with the name. */
  readonly message: string;
}

/** In each pair the first must be less than the second; otherwise the first could never take effect. */
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
  ['QUEUE_WAIT_MS', 'PURCHASE_DEADLINE_MS'],
  ['BUYER_JWKS_TIMEOUT_MS', 'BUYER_JWKS_REFRESH_MS'],
  ['BUYER_JWKS_REFRESH_MS', 'BUYER_JWKS_STALE_MAX_MS'],
] as const;

export function contradictions(env: Settings): Contradiction[] {
  return [...ofLimits(env), ...ofTokens(env)];
}

function ofLimits(env: Settings): Contradiction[] {
  const found: Contradiction[] = ladder
    .filter(([smaller, larger]) => env[smaller] >= env[larger])
    .map(([smaller, larger]) => ({
      name: smaller,
      message: `(${String(env[smaller])}) must be less than ${larger} (${String(env[larger])})`,
    }));
  if (env.EVENT_PURCHASES_IN_PROGRESS_MAX > env.PURCHASES_IN_PROGRESS_MAX) {
    found.push({ name: 'EVENT_PURCHASES_IN_PROGRESS_MAX', message: 'must not exceed PURCHASES_IN_PROGRESS_MAX' });
  }
  const [min, max] = [env.EVENT_PURCHASES_IN_PROGRESS_MIN, env.EVENT_PURCHASES_IN_PROGRESS_MAX];
  if (min !== undefined && min > max) {
    const message = `(${String(min)}) must not exceed EVENT_PURCHASES_IN_PROGRESS_MAX (${String(max)})`;
    found.push({ name: 'EVENT_PURCHASES_IN_PROGRESS_MIN', message });
  }
  // A socket that is closed first would hide the answer of an audit that took too long.
  const auditMs = env.AUDIT_TIMEOUT_MS + auditPatienceMs;
  if (auditMs >= env.SOCKET_TIMEOUT_MS) {
    const message = `plus ${String(auditPatienceMs)} (${String(auditMs)}) must be less than SOCKET_TIMEOUT_MS (${String(env.SOCKET_TIMEOUT_MS)})`;
    found.push({ name: 'AUDIT_TIMEOUT_MS', message });
  }
  if (env.OPERATIONS_PORT === env.PORT && env.PORT !== 0) {
    const message = `(${String(env.PORT)}) must differ from PORT; unset, probes and metrics are on PORT`;
    found.push({ name: 'OPERATIONS_PORT', message });
  }
  return found;
}

function ofTokens(env: Settings): Contradiction[] {
  const found: Contradiction[] = [];
  if (env.DATABASE_URL !== undefined && env.ADMIN_TOKEN === undefined) {
    found.push({ name: 'ADMIN_TOKEN', message: 'is required when DATABASE_URL is set' });
  }
  // With one value for both, the shop's configuration would also grant the right to change events and cancel purchases.
  if (env.SELLER_TOKEN !== undefined && env.SELLER_TOKEN === env.ADMIN_TOKEN) {
    found.push({ name: 'SELLER_TOKEN', message: 'must differ from ADMIN_TOKEN; unset, the token of the admin is used by the seller too' });
  }
  return [...found, ...ofBuyers(env)];
}

/** Half a configuration must not start: the operator believes that buyers need tokens. */
function ofBuyers(env: Settings): Contradiction[] {
  const { BUYER_JWT_SECRET: secret, BUYER_JWKS_URL: url } = env;
  if (secret !== undefined && url !== undefined) {
    return [{ name: 'BUYER_JWT_SECRET', message: 'and BUYER_JWKS_URL exclude each other: set the one that the issuer signs with' }];
  }
  const names = ['BUYER_JWT_ISSUER', 'BUYER_JWT_AUDIENCE'] as const;
  if (secret === undefined && url === undefined) {
    return names
      .filter((name) => env[name] !== undefined)
      .map((name) => ({ name, message: 'has no effect without BUYER_JWT_SECRET or BUYER_JWKS_URL' }));
  }
  const source = secret === undefined ? 'BUYER_JWKS_URL' : 'BUYER_JWT_SECRET';
  return names.filter((name) => env[name] === undefined).map((name) => ({ name, message: `is required when ${source} is set` }));
}
