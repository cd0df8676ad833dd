// @ts-check
/**
 * A sale beside a million holds that have expired and that nothing has swept yet: purchases and reads per second, as a fraction of
 * those of a sale without them. Twice: while the event has tickets left, and when every ticket must come from an expired hold.
 *
 * Each of the two sales has its own Postgres, and the replica that is not measured is stopped (SIGSTOP), so that its sweeper takes
 * nothing from the other one.
 */
import { closedLoop, percentile } from '../bench/generator.js';
import { openStage } from '../bench/stage.js';

const [connections, seconds, rounds] = [128, 4, 4];

/** @typedef {Awaited<ReturnType<typeof openStage>>} Stage */
/** @typedef {{ stage: Stage, replica: { address: string, pid: number }, eventId: string }} Side */

/** @param {Side} side @param {'purchases' | 'reads'} kind @param {number} forSeconds */
async function measure({ replica, eventId }, kind, forSeconds) {
  return closedLoop({ address: replica.address, kind, args: [eventId], connections, seconds: forSeconds });
}

/** The time that one read takes on an otherwise idle replica, in ms. @param {Side} side */
async function oneRead({ replica, eventId }) {
  const latencies = [];
  for (let count = 0; count < 30; count += 1) {
    const startedAt = performance.now();
    await (await fetch(`${replica.address}/events/${eventId}`)).json();
    latencies.push(performance.now() - startedAt);
  }
  return percentile(latencies, 0.5);
}

/** @param {Side} side @param {'SIGSTOP' | 'SIGCONT'} signal */
const signal = ({ replica }, signal) => process.kill(replica.pid, signal);

/** @param {Side} side @returns {Promise<number>} holds that are due */
async function due({ stage, eventId }) {
  const { rows } = await stage.sql.query(
    `SELECT count(*)::int AS due FROM purchases WHERE event_id = $1 AND status = 'held' AND expires_at <= now()`,
    [eventId],
  );
  return rows[0].due;
}

/** @param {(line: string) => void} say @param {number} [holds] */
export async function sellBesideExpired(say, holds = 1_000_000) {
  const stages = [await openStage(), await openStage()];
  try {
    /** @type {Side[]} */
    const sides = [];
    for (const stage of stages) sides.push({ stage, replica: await stage.onsale(), eventId: '' });
    const [plain, full] = /** @type {[Side, Side]} */ (sides);
    for (const [name, quota] of /** @type {[string, number][]} */ ([
      ['while tickets are left', 10_000_000],
      ['when each must come from an expired hold', 2 * holds],
    ])) {
      for (const side of sides)
        side.eventId = await side.stage.makeEvent(side.replica.address, { total_quota: quota, hold_seconds: 3_600 });
      signal(full, 'SIGSTOP');
      await full.stage.books.onsale.makeHolds(full.eventId, holds, { fromSeconds: -600, toSeconds: -1 });
      await full.stage.sql.query('ANALYZE purchases');
      /** @type {Record<string, number[]>} */
      const figures = {};
      const note = (/** @type {string} */ what, /** @type {number} */ figure) => (figures[what] ??= []).push(figure);
      for (let round = 0; round < rounds; round += 1) {
        for (const [side, label] of /** @type {[Side, string][]} */ ([
          [plain, 'without'],
          [full, 'with'],
        ])) {
          if (side === full) signal(full, 'SIGCONT');
          await measure(side, 'purchases', 1);
          const dueBefore = side === full ? await due(side) : 0;
          note(`${label}: purchases/s`, (await measure(side, 'purchases', seconds)).perSecond);
          if (side === full) note('holds returned/s', (dueBefore - (await due(side))) / seconds);
          note(`${label}: reads/s`, (await measure(side, 'reads', seconds)).perSecond);
          note(`${label}: one read, ms`, await oneRead(side));
          if (side === full) signal(full, 'SIGSTOP');
        }
      }
      signal(full, 'SIGCONT');
      const median = (/** @type {string} */ what) => percentile(figures[what] ?? [], 0.5);
      say(`${name}, ${await due(full)} of ${holds} still due at the end:`);
      for (const [what, all] of Object.entries(figures))
        say(`  ${what.padEnd(24)} ${median(what).toFixed(1)}  (${all.map((each) => each.toFixed(1)).join(', ')})`);
      say(`  purchases, with / without: ${(median('with: purchases/s') / median('without: purchases/s')).toFixed(2)}`);
      for (const side of sides) await side.stage.books.onsale.audit([side.eventId]).catch((error) => say(`  ${error.message}`));
    }
  } finally {
    for (const stage of stages) await stage.close();
  }
}
