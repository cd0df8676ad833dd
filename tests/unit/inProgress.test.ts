/**
 * Goal: the state of a request says which attempts may carry it, and what its answer may be at the deadline.
 * Method: each transition, by Jest's clock.
 */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Attempt } from '../../src/sale/attempt.js';
import { RequestInProgress } from '../../src/sale/inProgress.js';
import { request } from '../support/sales.js';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

const deadlineMs = 1_000;
const open = (purchaseId = 'id', isGone?: () => boolean) =>
  new RequestInProgress({ ...request(1), purchaseId }, { deadlineMs, retryAfterSeconds: () => 2 }, isGone);

describe('a queued request', () => {
  test('may begin while four fifths of its time are left, and if somebody is there for the answer', () => {
    const queued = open();
    jest.advanceTimersByTime(deadlineMs * 0.79);
    expect(queued.mayBegin('not committed')).toBe(true);
    jest.advanceTimersByTime(deadlineMs * 0.02);
    expect(queued.mayBegin('not committed')).toBe(false);
    expect(open('id', () => true).mayBegin('not committed')).toBe(false);
  });

  test('joins no attempt after one in doubt, which did not carry it', () => {
    expect(open().mayBegin('in doubt')).toBe(false);
    expect(open().mayBegin('in doubt and unfenced')).toBe(false);
  });

  test('is refused at the deadline, and then carried by nothing', () => {
    const queued = open();
    expect(queued.answerLate()).toEqual({ kind: 'overloaded', reason: 'too late', retryAfterSeconds: 2 });
    expect(open('id', () => true).answerLate()).toMatchObject({ reason: 'client gone' });
    // A timer may fire up to a millisecond before the clock has reached the deadline: the state decides, not the clock.
    expect(queued.mayBegin('not committed')).toBe(false);
    queued.begin();
    queued.end('in doubt');
    expect(queued.state).toBe('answered');
  });
});

describe('a request in an attempt', () => {
  test('is queued again if the attempt did not commit', () => {
    const opened = open();
    opened.begin();
    expect(opened.state).toBe('in an attempt');
    opened.end('not committed');
    expect(opened.state).toBe('queued');
    expect(opened.answerLate().kind).toBe('overloaded');
  });

  test('is in doubt for good if the attempt may have committed, and is carried again up to the deadline', () => {
    const opened = open('id', () => true);
    opened.begin();
    opened.end('in doubt');
    jest.advanceTimersByTime(deadlineMs - 1);
    expect(opened.mayBegin('in doubt')).toBe(true);
    opened.begin();
    opened.end('not committed');
    expect(opened.state).toBe('in doubt');
    jest.advanceTimersByTime(1);
    expect(opened.mayBegin('in doubt')).toBe(false);
    expect(opened.answerLate()).toEqual({ kind: 'outcome-unknown', purchaseId: 'id', retryAfterSeconds: 2 });
  });

  test('is unknown at the deadline, never refused', () => {
    const opened = open();
    opened.begin();
    expect(opened.answerLate().kind).toBe('outcome-unknown');
  });
});

describe('an attempt', () => {
  test('carries what may begin when it begins, reports it once, and answers for all of its batch in order', () => {
    const slices: number[] = [];
    const batch = [open('a'), open('b', () => true), open('c')];
    const attempt = new Attempt('event', batch, 'not committed', false, false, (carried) => slices.push(carried.length));
    expect(attempt.begin('fast').map(({ purchaseId }) => purchaseId)).toEqual(['a', 'c']);
    attempt.end('not committed');
    expect(attempt.begin('fast')).toHaveLength(2);
    expect(slices).toEqual([2]);
    const answers = attempt.answers([{ kind: 'sold-out', held: 0 }, { kind: 'event-not-found' }]);
    expect(answers.map(({ kind }) => kind)).toEqual(['sold-out', 'overloaded', 'event-not-found']);
    expect(batch.map(({ state }) => state)).toEqual(['answered', 'answered', 'answered']);
  });

  test('carries only what the one in doubt before it carried', () => {
    const batch = [open('a'), open('b')];
    batch[0]!.begin();
    batch[0]!.end('in doubt and unfenced');
    const next = new Attempt('event', batch, 'in doubt and unfenced', true);
    expect(next.begin('fast').map(({ purchaseId }) => purchaseId)).toEqual(['a']);
  });
});
