/** Examines the database at a start: whether it can be reached, is new enough, admits what this program does, and is migrated. */
import pg from 'pg';
import { Prisma } from '../generated/prisma/client.js';
import type { Queryable } from './client.js';
import { schemaState } from './migrate.js';
import { explain, explainUrl, hopeless, passing, type StartFault, type Target, targetOf } from './startFaults.js';

/** What the caller is about to do; a migration needs other privileges and no schema. */
export type Purpose = 'serve' | 'migrate';

/** The oldest version that has everything in the statements of `sql/`. */
const oldestVersion = 15;
/** An answer later than this comes from a server that is overloaded, or is none. */
const patienceMs = 5_000;

/** @returns undefined if the database can be used */
export async function examine(url: string, purpose: Purpose = 'serve'): Promise<StartFault | undefined> {
  let target: Target;
  try {
    target = targetOf(url);
  } catch (error) {
    return explainUrl(error);
  }
  const client = new pg.Client({
    connectionString: url,
    application_name: 'onsale start',
    connectionTimeoutMillis: patienceMs,
    query_timeout: patienceMs, // safe here: this session has no transactions and is not reused
  });
  client.on('error', () => undefined); // a statement fails too, and says why
  try {
    await client.connect();
    return await examineSession(client, target, purpose);
  } catch (error) {
    return explain(error, target);
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function examineSession(client: pg.Client, target: Target, purpose: Purpose): Promise<StartFault | undefined> {
  const { server_version: version, readOnly } = await first<{ server_version: string; readOnly: boolean }>(
    client,
    `SELECT current_setting('server_version') AS server_version, current_setting('transaction_read_only')::boolean AS "readOnly"`,
  );
  if (Number.parseInt(version, 10) < oldestVersion) {
    return hopeless(`Postgres at ${target.server} has version ${version}; onsale needs version ${String(oldestVersion)} or newer.`);
  }
  const lacking = await lackingPrivileges(client, target, purpose);
  if (lacking) return lacking;
  const { missing, breaking, lacking: defences } = await schemaState(queryableOf(client));
  if (purpose === 'migrate' && missing.length === 0) return undefined;
  if (readOnly) return passing(`Postgres at ${target.server} is read-only; if it is a standby, promote it or correct DATABASE_URL.`);
  if (purpose === 'migrate') return lackingCreate(client, target);
  if (breaking.length > 0) {
    return hopeless(
      `The migration ${breaking.join(', ')} removed something that this version of onsale needs; start the version that it belongs to, or a newer one.`,
    );
  }
  if (missing.length > 0) {
    return passing(
      `The database "${target.database}" at ${target.server} lacks ${firstOf(missing, 'migration')}; run "npm run db:migrate" (in the image: node dist/server.js migrate).`,
    );
  }
  if (defences.length > 0) return passing(`The database lacks ${defences.join(', ')}; it is being restored, or was changed manually.`);
  return undefined;
}

/** Everything that the statements of `sql/` do; row locks need UPDATE. */
const tables = ['events', 'purchases', 'tickets', 'buyer_totals'];
const privileges = ['SELECT', 'INSERT', 'UPDATE'];

/** A schema that the user may not use looks like one without tables. */
async function lackingPrivileges(client: pg.Client, { user, database }: Target, purpose: Purpose): Promise<StartFault | undefined> {
  const { schema } = await first<{ schema: string | null }>(client, 'SELECT current_schema() AS schema');
  if (schema === null) {
    const remedy = `as its owner, run: GRANT USAGE ON SCHEMA public TO "${user}"`;
    return hopeless(`The user "${user}" may use no schema of the database "${database}"; ${remedy}.`);
  }
  const { denied } = await first<{ denied: string[] }>(
    client,
    `SELECT ARRAY (SELECT privilege || ' on ' || name
                     FROM (SELECT name, privilege FROM unnest($1::text[]) AS name, unnest($2::text[]) AS privilege
                           UNION ALL VALUES ('_prisma_migrations', 'SELECT')) AS needed
                    WHERE NOT has_table_privilege(to_regclass(name), privilege)) AS denied`,
    purpose === 'serve' ? [tables, privileges] : [[], []],
  );
  if (denied.length === 0) return undefined;
  const grant = `GRANT ${privileges.join(', ')} ON ${tables.join(', ')} TO "${user}"; GRANT SELECT ON _prisma_migrations TO "${user}"`;
  return hopeless(`The user "${user}" lacks ${firstOf(denied, 'privilege')}; as the owner of the tables, run: ${grant}.`);
}

/** The first, and how many there are besides: a sentence must stay readable. */
function firstOf(names: readonly string[], what: string): string {
  const [name = '', ...others] = names;
  if (others.length === 0) return name;
  return `${name} and ${String(others.length)} other ${what}${others.length > 1 ? 's' : ''}`;
}

async function lackingCreate(client: pg.Client, { user }: Target): Promise<StartFault | undefined> {
  const { schema, may } = await first<{ schema: string; may: boolean }>(
    client,
    `SELECT current_schema() AS schema, has_schema_privilege(current_schema(), 'CREATE') AS may`,
  );
  if (may) return undefined;
  const remedy = `as its owner, run: GRANT CREATE ON SCHEMA ${schema} TO "${user}"`;
  return hopeless(`The user "${user}" may not create tables in the schema ${schema}; ${remedy}.`);
}

async function first<R extends pg.QueryResultRow>(client: pg.Client, text: string, values: unknown[] = []): Promise<R> {
  const { rows } = await client.query<R>(text, values);
  if (!rows[0]) throw new Error('a statement that always returns a row returned none');
  return rows[0];
}

/** For statements that are written for Prisma. */
function queryableOf(client: pg.Client): Queryable {
  const run = async (strings: TemplateStringsArray, ...values: unknown[]) => {
    const { text, values: parameters } = Prisma.sql(strings, ...values);
    return (await client.query<pg.QueryResultRow>(text, parameters)).rows;
  };
  return { $queryRaw: run as unknown as Queryable['$queryRaw'] };
}
