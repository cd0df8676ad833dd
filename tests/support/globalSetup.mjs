// Starts the run's Postgres in a directory of its own and migrates the database that every test database is copied from.
// Plain JavaScript on the built files, because Jest loads it before its own transforms.
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbedded } from '../../dist/db/embedded/embedded.js';
import { migrate } from '../../dist/db/migrate.js';

export default async function globalSetup() {
  const dataDir = await mkdtemp(join(tmpdir(), 'onsale-test-'));
  // Durability is not what these tests are about: the tests of crashes start servers of their own, and one of a missing
  // standby asks for more. No other session waits for a standby.
  const embedded = await startEmbedded({ dataDir, settings: { fsync: 'off', synchronous_commit: 'local', max_connections: 200 } });
  await migrate(embedded.url);
  process.env.TEST_TEMPLATE_URL = embedded.url;
  globalThis.embeddedForTests = embedded;
}
