// Makes the cluster that every Postgres of the fault suite is copied from: migrated, and stopped. Plain JavaScript on the
// built files, because Jest loads it before its own transforms.
import { mkdtemp, writeFile } from 'node:fs/promises';
import { randomInt } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbedded } from '../../dist/db/embedded/embedded.js';
import { migrate } from '../../dist/db/migrate.js';

export default async function globalSetup() {
  process.env.FAULT_SEED ??= String(randomInt(1_000_000));
  process.stdout.write(`FAULT_SEED=${process.env.FAULT_SEED}\n`);
  const dataDir = await mkdtemp(join(tmpdir(), 'onsale-faults-'));
  process.env.FAULT_DIR = dataDir;
  const embedded = await startEmbedded({ dataDir });
  await migrate(embedded.url);
  await embedded.stop();
  process.env.FAULT_DATABASE_URL = embedded.url;
  process.env.FAULT_REPORT = join(dataDir, 'report.jsonl');
  await writeFile(process.env.FAULT_REPORT, '');
}
