import { invalid } from './validate.js';

const bare = /^[\x21-\x7e]{16,255}$/;
const quoted = /^"((?:[\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/;

/**
 * Parses the header `Idempotency-Key`: 16 to 255 visible ASCII characters, bare or as a quoted string (the form of the IETF
 * draft). Both forms give the same key.
 *
 * @throws Problem `validation`
 */
export function idempotencyKey(header: string | string[] | undefined): string | null {
  if (header === undefined) return null;
  const text = Array.isArray(header) ? header.join(', ') : header;
  const key = text.startsWith('"') ? quoted.exec(text)?.[1]?.replace(/\\(["\\])/g, '$1') : text;
  if (key !== undefined && bare.test(key)) return key;
  throw invalid([
    { in: 'header', path: 'Idempotency-Key', message: 'must be 16 to 255 visible ASCII characters, bare or as a quoted string' },
  ]);
}
