import { setTimeout as pause } from 'node:timers/promises';
import type { Readiness, ReadyState } from '../../src/db/readiness.js';

/** What a replica reports when its probe was answered before its look at the database ended, as happens on a busy machine. */
const late = /^The database does not answer( in time|: .*(deadline|time-?out))/i;

/** Probes until a look at the database ends in time. @returns what it found */
export async function settledState(readiness: Readiness): Promise<ReadyState> {
  for (;;) {
    const state = await readiness.check();
    if (state.ready || !late.test(state.reason)) return state;
    await pause(10);
  }
}

/**
 * Probes until a replica is ready, or until it is not: a probe that is late reports what the last look found. The test's
 * timeout is the deadline. @returns the state with its reason
 */
export async function untilReady(readiness: Readiness, ready = true): Promise<ReadyState> {
  for (;;) {
    const state = await settledState(readiness);
    if (state.ready === ready) return state;
    await pause(10);
  }
}
