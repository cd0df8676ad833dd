/** What the buyers saw: every attempt to buy, when it was made, when it was answered, and how. */

export interface ToldPurchase {
  readonly id: string;
  readonly quantity: number;
  readonly ticketIds: readonly string[];
  /** The whole body of the answer, byte for byte. */
  readonly json: string;
}

export type Answer =
  | { readonly kind: 'granted'; readonly purchase: ToldPurchase }
  /** For good: `sold-out` or `insufficient-availability`; these events sell no holds, and nothing is cancelled. */
  | { readonly kind: 'refused'; readonly code: string; readonly available: number }
  /** This attempt bought nothing, and says so: overloaded, or nobody listened at the address. */
  | { readonly kind: 'not begun'; readonly why: string }
  /** Bought or not: the answer says so, cut off, hung up, or not answered in time. */
  | { readonly kind: 'unknown'; readonly why: string };

export interface Attempt {
  readonly eventId: string;
  readonly key: string;
  readonly quantity: number;
  /** Which replica was asked. */
  readonly asked: string;
  /** On the clock of `performance.now()`, as all times here. */
  readonly calledAtMs: number;
  readonly returnedAtMs: number;
  readonly answer: Answer;
}

/** All that the buyers know of one key. */
export interface KeyHistory {
  readonly key: string;
  readonly eventId: string;
  readonly quantity: number;
  readonly attempts: readonly Attempt[];
  readonly firstCalledAtMs: number;
  /** Answered at least once that it bought; answered that it never will; only ever not begun; or none of these. */
  readonly standing: 'acknowledged' | 'refused' | 'not begun' | 'unknown';
}

export function byKey(attempts: readonly Attempt[]): Map<string, KeyHistory> {
  const groups = new Map<string, Attempt[]>();
  for (const attempt of attempts) {
    const group = groups.get(attempt.key);
    if (group) group.push(attempt);
    else groups.set(attempt.key, [attempt]);
  }
  return new Map([...groups].map(([key, own]) => [key, toKeyHistory(key, own)]));
}

function toKeyHistory(key: string, attempts: readonly Attempt[]): KeyHistory {
  const { eventId, quantity } = attempts[0]!;
  const kinds = new Set(attempts.map(({ answer }) => answer.kind));
  const standing = kinds.has('granted')
    ? 'acknowledged'
    : kinds.has('refused')
      ? 'refused'
      : kinds.has('unknown')
        ? 'unknown'
        : 'not begun';
  const firstCalledAtMs = Math.min(...attempts.map((attempt) => attempt.calledAtMs));
  return { key, eventId, quantity, attempts, firstCalledAtMs, standing };
}
