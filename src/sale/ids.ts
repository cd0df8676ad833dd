import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

/** Random bytes are drawn a page at a time: a call for each id was 8 % of the profile of a purchase. */
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
 * A UUIDv7, monotonic by RFC 9562's method 1: ids of one process sort in the order in which they were made, which lists events
 * by their creation and tickets by their place in a purchase. The sequence starts at random in each millisecond. One such id
 * lets its neighbours be guessed, so it must not be what gives access to anything.
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
 * A UUIDv7 of the present millisecond with 73 random bits: whoever knows a purchase's id may read the purchase, so one id must
 * tell nothing about another.
 */
export function newPurchaseId(): string {
  return v7({ random: randomBytes(), msecs: Date.now() });
}
