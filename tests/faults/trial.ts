/** The end of every scenario: calm, the books, every unknown asked again, the books again; and the row of the report. */
import { appendFileSync } from 'node:fs';
import { check, type Harm, type Violation } from './checker.js';
import type { Crowd } from './crowd.js';
import { byKey } from './history.js';
import type { Random } from './random.js';
import type { InsertedEvent } from '../support/events.js';
import type { Stage } from './stage.js';

export interface Verdict {
  readonly violations: readonly Violation[];
  readonly tried: number;
  readonly acknowledged: number;
  readonly unknown: number;
  readonly resolved: number;
}

/** How many of the keys that had a plain answer are asked again, too. */
const askedAgain = 50;

/**
 * To be called when the buyers have left and the faults are over.
 *
 * @param seen violations that were seen on the way
 */
export async function judge(
  stage: Stage,
  crowd: Crowd,
  events: readonly InsertedEvent[],
  random: Random,
  seen: readonly Violation[] = [],
): Promise<Verdict> {
  await stage.untilCalm();
  const before = check(crowd.attempts, await stage.readLedger(events), { resolved: false });
  const keys = [...byKey(crowd.attempts).values()];
  const tried = keys.length;
  const unknownKeys = keys.filter(({ standing }) => standing === 'unknown').map(({ key }) => key);
  const plainKeys = keys.filter(({ standing }) => standing === 'acknowledged').map(({ key }) => key);

  await crowd.resolve();
  await crowd.askAgain([...unknownKeys, ...random.shuffled(plainKeys).slice(0, askedAgain)]);
  await stage.untilCalm();
  const after = check(crowd.attempts, await stage.readLedger(events), { resolved: true });
  const standings = byKey(crowd.attempts);
  const resolved = unknownKeys.filter((key) => standings.get(key)!.standing !== 'unknown').length;
  const acknowledged = [...standings.values()].filter(({ standing }) => standing === 'acknowledged').length;
  return { violations: [...seen, ...before, ...after], tried, acknowledged, unknown: unknownKeys.length, resolved };
}

export type Tally = Map<string, number>;

/** @param kinds that must be injected; the run fails if one of them never is */
export const tallyOf = (...kinds: string[]): Tally => new Map(kinds.map((kind) => [kind, 0]));

export function count(tally: Tally, kind: string, more = 1): void {
  tally.set(kind, (tally.get(kind) ?? 0) + more);
}

/** Adds to the table that ends the run. */
export function report(faults: Tally, verdict: Verdict): void {
  const harms: Partial<Record<Harm, number>> = {};
  for (const { harm } of verdict.violations) harms[harm] = (harms[harm] ?? 0) + 1;
  const { tried, acknowledged, unknown, resolved } = verdict;
  const line = { faults: Object.fromEntries(faults), tried, acknowledged, unknown, resolved, harms };
  appendFileSync(process.env['FAULT_REPORT']!, `${JSON.stringify(line)}\n`);
}
