/** A primary and its synchronous standby, with replicas before them. */
import { setTimeout as pause } from 'node:timers/promises';
import { Postgres } from './postgres.js';
import { Stage } from './stage.js';

export interface Pair {
  readonly stage: Stage;
  readonly standby: Postgres;
}

/** A commit is one only when the standby has it. */
const waitForStandby = { synchronous_standby_names: '*', synchronous_commit: 'on' };
const attachTimeoutMs = 20_000;

export async function openPair(replicas: number): Promise<Pair> {
  const standby = await Postgres.copy();
  const stage = await Stage.open(replicas, waitForStandby, async (opened) => {
    standby.follow(opened.postgres);
    await opened.join(standby);
    await untilAttached(opened.postgres);
  });
  return { stage, standby };
}

export async function untilAttached(primary: Postgres): Promise<void> {
  const deadline = Date.now() + attachTimeoutMs;
  for (;;) {
    const [standby] = await primary.query(`SELECT FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'`);
    if (standby) return;
    if (Date.now() > deadline) throw new Error('the standby does not follow its primary');
    await pause(20);
  }
}

/** The primary dies, the standby takes its place, and its address. */
export async function failOver({ stage, standby }: Pair): Promise<void> {
  await stage.postgres.stop('immediate');
  if (!standby.running) await standby.start();
  await standby.query('SELECT pg_promote(true, 30)');
  stage.switchTo(standby);
}

/** Cancels what waits for the standby; Postgres then answers such a commit with success, and a warning. @returns how many */
export async function cancelWaits(primary: Postgres): Promise<number> {
  const cancelled = await primary.query(
    `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name LIKE 'onsale%'`,
  );
  return cancelled.length;
}
