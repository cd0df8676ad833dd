/** SIGTERM, and what it must not do to those who were let in before. */
import type { Violation } from './checker.js';
import type { Call } from './crowd.js';
import type { ReplicaProcess } from './replicaProcess.js';

/** A request that was called so long before the signal had arrived by then, on any machine that is not stuck. */
const arrivedAfterMs = 150;

/** Those who have something under way, and what they were answered. */
export interface Callers {
  readonly underWay: ReadonlySet<Call>;
  readonly attempts: readonly {
    readonly call: Call;
    readonly key: string;
    readonly calledAtMs: number;
    readonly returnedAtMs: number;
    readonly answer: { readonly kind: string; readonly why?: string };
  }[];
  untilEnded(calls: ReadonlySet<Call>): Promise<void>;
}

/** Drains the replica. @returns a violation for each request that it had taken on and did not answer */
export async function droppedBy(replica: Pick<ReplicaProcess, 'name' | 'drain'>, crowd: Callers): Promise<Violation[]> {
  const now = performance.now();
  const takenOn = new Set(
    [...crowd.underWay].filter(({ asked, calledAtMs }) => asked === replica.name && calledAtMs < now - arrivedAfterMs),
  );
  const exitCode = await replica.drain();
  await crowd.untilEnded(takenOn);
  const dropped = crowd.attempts.filter(
    ({ call, answer }) => takenOn.has(call) && answer.kind === 'unknown' && answer.why?.startsWith('connection lost') === true,
  );
  const violations = dropped.map(({ key, calledAtMs, returnedAtMs }): Violation => {
    const times = `called ${String(Math.round(now - calledAtMs))} ms before the signal, lost ${String(Math.round(returnedAtMs - now))} ms after it`;
    return { harm: 'dropped', rule: 'taken on, and not answered by a draining replica', of: `${key}, ${times}` };
  });
  if (exitCode !== 0) violations.push({ harm: 'dropped', rule: `a draining replica ended with ${String(exitCode)}`, of: replica.name });
  return violations;
}
