/**
 * Goal: any reader of RFC 4180 gets the fields back as they were, and can tell an empty text from none.
 */
import { expect, test } from '@jest/globals';
import { csvLine } from '../../src/http/contract/csv.js';

test.each([
  [['a', 'b'], 'a,b\r\n'],
  [[null], '\r\n'],
  [['', null, ''], '"",,""\r\n'],
  [['a"b', '"'], '"a""b",""""\r\n'],
  [['a,b', 'a\nb', 'a\rb'], '"a,b","a\nb","a\rb"\r\n'],
  [[' a ', "it's", '夜🎟', ';', '=1+1'], " a ,it's,夜🎟,;,=1+1\r\n"],
])('%j is written as %j', (fields, line) => {
  expect(csvLine(fields)).toBe(line);
});
