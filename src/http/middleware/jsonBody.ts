/** Reads a JSON body: checks its media type, its size, its encoding, and numbers that JavaScript would round. */
import type { IncomingHttpHeaders } from 'node:http';
import { TextDecoder } from 'node:util';
import { parse as parseMediaType } from 'content-type';
import express, { type RequestHandler } from 'express';
import { bodyTooLarge, notJson } from '../contract/requestProblems.js';
import { invalid } from './validate.js';

/** Invalid UTF-8 would otherwise be replaced silently, and a name would be stored that differs from the one sent. */
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Sets `req.body` to the parsed body. A request without a body passes; validation then reports what is missing.
 *
 * @param bytesMax just above the largest valid body, because parsing and refusing a large one costs more than a purchase
 */
export function jsonBody(bytesMax: number): RequestHandler {
  const readBytes: RequestHandler = express.raw({ limit: bytesMax, inflate: false, type: () => true });
  return (req, res, next) => {
    if (isEmpty(req.headers)) {
      next();
      return;
    }
    assertJson(req.headers['content-type']);
    // A too large Content-Length is refused before the body is read; without the header, the reader counts the bytes.
    if (Number(req.headers['content-length']) > bytesMax) throw bodyTooLarge(bytesMax);
    readBytes(req, res, (error?: unknown) => {
      let refusal = error;
      try {
        if (error === undefined) req.body = parseJson(req.body as Buffer);
      } catch (malformed) {
        refusal = malformed;
      }
      next(refusal);
    });
  };
}

function isEmpty(headers: IncomingHttpHeaders): boolean {
  return headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0';
}

/** @throws Problem `unsupported-media-type`, unless this is JSON in UTF-8 */
function assertJson(given = ''): void {
  if (given === 'application/json') return;
  const { type, parameters } = parseMediaType(given);
  const charset = parameters['charset'] ?? 'utf-8';
  if (type === 'application/json' && charset.toLowerCase() === 'utf-8') return;
  throw notJson(given);
}

/** @throws Problem `validation` */
function parseJson(bytes: Buffer): unknown {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw invalid([{ in: 'body', path: '', message: 'must be UTF-8' }]);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
    if (mayRound.test(text)) value = JSON.parse(withoutRounding(text));
  } catch {
    throw invalid([{ in: 'body', path: '', message: 'must be valid JSON' }]);
  }
  // A handler whose body is optional would take it for a missing one.
  if (value === null) throw invalid([{ in: 'body', path: '', message: 'must have a JSON object as its body' }]);
  return value;
}

/** Only a number with a fraction or an exponent can be rounded to a whole number. */
const mayRound = /\d[.eE]/;
const stringOrNumber = /"(?:[^"\\]|\\.)*"|-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?/g;

/**
 * `JSON.parse` turns 0.99999999999999999999 into 1, which would then buy a ticket. Every number of the API is whole, so each
 * fraction is replaced by 0.5: validation rejects it like any other fraction and reports its path.
 *
 * @param text valid JSON
 */
function withoutRounding(text: string): string {
  return text.replace(stringOrNumber, (token: string, whole?: string, fraction?: string, exponent?: string) => {
    const [digits, places] = [`${whole ?? ''}${fraction ?? ''}`, (fraction ?? '').length - Number(exponent ?? 0)];
    return whole === undefined || isWhole(digits, places) ? token : '0.5';
  });
}

/** @param digits of the number, without its decimal point @param places the number of digits after the decimal point */
function isWhole(digits: string, places: number): boolean {
  const significant = digits.replace(/0+$/, '').length;
  return significant === 0 || places <= digits.length - significant;
}
