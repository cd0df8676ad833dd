// @ts-check
/** `node load/scenarios/run.js [name…]`: the scenarios by which holds and limits per buyer are judged. Each has its own Postgres. */
import { abandon } from './abandoned.js';
import { tryTenTimes } from './buyers.js';
import { sellBesideExpired } from './expired.js';

/** @type {Record<string, (say: (line: string) => void) => Promise<void>>} */
const scenarios = { abandoned: abandon, buyers: tryTenTimes, expired: sellBesideExpired };

const names = process.argv.slice(2);
for (const name of names.length > 0 ? names : Object.keys(scenarios)) {
  const scenario = scenarios[name];
  if (!scenario) {
    process.stderr.write(`There is no scenario ${name}; there are ${Object.keys(scenarios).join(', ')}.\n`);
    process.exit(1);
  }
  process.stdout.write(`${name}\n`);
  await scenario((line) => process.stdout.write(`  ${line}\n`));
}
process.exit(0);
