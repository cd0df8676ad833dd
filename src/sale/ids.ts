import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

/** Random bytes are drawn a page at a time: a call for each id was 8 % of the profile of a purchase. */
const randomPage = new Uint8Array(4_096);
const bytesPerId = 16;
let usedBytes = randomPage.length;
let lastMs = 0;
let sequence = 0;

/**
 * A UUIDv7 (RFC 9562, monotonic by method 1): ids of one process sort in the order in which they were made, which keeps
 * their indexes growing at one end. The sequence starts at random in each millisecond, and 42 more bits are random in
 * each id, so that one id says nothing useful about the next.
 */
export function newId(): string {
  if (usedBytes === randomPage.length) {
    randomFillSync(randomPage);
    usedBytes = 0;
  }
  const random = randomPage.subarray(usedBytes, (usedBytes += bytesPerId));
  const now = Date.now();
  if (now > lastMs) {
    lastMs = now;
    sequence = new DataView(random.buffer, random.byteOffset).getUint32(0) >>> 1;
  } else {
    sequence += 1;
  }
  return v7({ random, msecs: lastMs, seq: sequence });
}
