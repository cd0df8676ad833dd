import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

/** Random bytes are drawn one page at a time: one call per id took 8 % of a purchase's profile. */
const randomPage = new Uint8Array(4_096);
const bytesPerId = 16;
let usedBytes = randomPage.length;
let lastMs = 0;
let sequence = 0;

function randomBytes(): Uint8Array {
  if (usedBytes === randomPage.length) {
    randomFillSync(randomPage);
    usedBytes = 0;
  }
  return randomPage.subarray(usedBytes, (usedBytes += bytesPerId));
}

/**
 * A UUIDv7, monotonic by RFC 9562's method 1: the ids of one process sort in creation order, which orders lists of events by
 * creation and tickets by their position in a purchase. The sequence starts at a random number in each millisecond. Neighbouring
 * ids can be guessed from one of them, so such an id must not grant access to anything.
 */
export function newId(): string {
  const random = randomBytes();
  const now = Date.now();
  if (now > lastMs) {
    lastMs = now;
    sequence = new DataView(random.buffer, random.byteOffset).getUint32(0) >>> 1;
  } else {
    sequence += 1;
  }
  return v7({ random, msecs: lastMs, seq: sequence });
}

/**
 * A UUIDv7 of the current millisecond with 73 random bits. Knowing a purchase's id grants read access to the purchase, so one id
 * must reveal nothing about another.
 */
export function newPurchaseId(): string {
  return v7({ random: randomBytes(), msecs: Date.now() });
}

/** A UUIDv7 whose last twelve bits are zero, so that a statement can number the ids that it derives from it. */
export function newNumberableId(): string {
  return `${newPurchaseId().slice(0, 33)}000`;
}
