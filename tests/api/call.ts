/**
 * One request, and what every answer must have whatever it says: a request id, the members of a problem if it is an
 * error, and a place in the published OpenAPI document. So each test that sends anything also tests these.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from '@jest/globals';
import request from 'supertest';
import { adminToken } from '../support/replica.js';
import { ApiDocument, type OpenApiDocument } from './document.js';

export interface Options {
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is, with the content type of `headers`, or application/json. */
  readonly raw?: string | Buffer;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** With the admin token; on by default below /admin. */
  readonly admin?: boolean;
}

interface Body extends Record<string, unknown> {
  readonly id: string;
  readonly code: string;
  readonly detail: string;
  readonly tickets: readonly { readonly id: string }[];
  readonly data: readonly Body[];
  readonly next_cursor: string | null;
  readonly errors: readonly { readonly in: string; readonly path: string; readonly message: string }[];
}

export interface Reply {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  readonly body: Body;
}

export const anyUuid = expect.stringMatching(
  /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
) as unknown as string;
export const anyUuidV7 = expect.stringMatching(
  /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
) as unknown as string;
/** RFC 3339 in UTC. */
export const anyTime = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/) as unknown as string;
/** The members of an event that has no rules beside its limit. */
export const noRules = { sale_starts_at: null, sale_ends_at: null, max_per_buyer: null, hold_seconds: null };
export const nobody = '019aab5c-4c2e-7d0b-9a52-0d7f3a9c1e44';

/** @param line method and path, as "GET /events" */
export async function call(address: string, line: string, options: Options = {}): Promise<Reply> {
  const reply = await sendOnly(address, line, options);
  expectConventions(line, reply);
  await expectDocumented(address, line, reply);
  return reply;
}

/** Probes until the answer has this status: a probe that is late on a busy machine reports what the last look found. */
export async function untilReadyz(address: string, status: 200 | 503): Promise<Reply> {
  for (;;) {
    const reply = await call(address, 'GET /readyz');
    if (reply.status === status) return reply;
    await pause(20);
  }
}

/** Checks nothing. */
export async function sendOnly(address: string, line: string, { json, raw, headers = {}, admin }: Options): Promise<Reply> {
  const [method = '', path = ''] = line.split(' ');
  const token = (admin ?? path.startsWith('/admin')) ? { Authorization: `Bearer ${adminToken}` } : {};
  const type = json === undefined && raw === undefined ? {} : { 'Content-Type': 'application/json' };
  // Superagent's types have one string per header; Node's, which it hands them to, have several.
  const all = { ...token, ...type, ...headers } as Record<string, string>;
  const sending = request(address)[method.toLowerCase() as 'get'](path).set(all);
  // Left to itself, superagent writes bytes as the JSON of a Buffer.
  if (Buffer.isBuffer(raw)) sending.serialize((bytes) => bytes as string);
  const response: Reply = await sending.send(raw ?? (json === undefined ? undefined : JSON.stringify(json)));
  return { status: response.status, headers: response.headers, text: response.text, body: response.body };
}

function expectConventions(line: string, { status, headers, text, body }: Reply): void {
  expect(headers['x-request-id']).toMatch(/^[\x21-\x7e]{1,255}$/);
  expect(headers).not.toHaveProperty('x-powered-by');
  if (status < 400) return;
  expect(headers['content-type']).toMatch(/^application\/problem\+json(;|$)/);
  if (line.startsWith('HEAD ')) return;
  expect(body).toMatchObject({
    type: expect.stringMatching(/./),
    title: expect.stringMatching(/./),
    status,
    detail: expect.stringMatching(/./),
    code: expect.stringMatching(/^[a-z]+(-[a-z]+)*$/),
    request_id: headers['x-request-id'],
  });
  expect(text).not.toMatch(/node_modules|\.[jt]s:\d+|\n\s*at /);
}

const documents = new Map<string, Promise<ApiDocument>>();

/** The document as this replica publishes it. */
export function publishedDocument(address: string): Promise<ApiDocument> {
  const known =
    documents.get(address) ??
    sendOnly(address, 'GET /openapi.json', {}).then(({ body }) => new ApiDocument(body as unknown as OpenApiDocument));
  documents.set(address, known);
  return known;
}

/** The answer of a documented operation is documented: its status, its headers, its media type and its shape. */
export async function expectDocumented(address: string, line: string, reply: Reply): Promise<void> {
  const [method = '', target = ''] = line.split(' ');
  expect((await publishedDocument(address)).undescribed(method, target, reply)).toEqual([]);
}
