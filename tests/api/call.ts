/**
 * One request, and what every answer must have whatever it says: a request id, the members of a problem if it is an
 * error, and a place in the published OpenAPI document. So each test that sends anything also tests these.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from '@jest/globals';
import request from 'supertest';
import { z } from 'zod';
import { adminToken } from '../support/replica.js';

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

interface DocumentedResponse {
  readonly description: string;
  readonly headers?: Record<string, object>;
  readonly content?: Record<string, { readonly schema: object }>;
}

interface Operation {
  readonly security?: readonly object[];
  readonly responses: Record<string, DocumentedResponse | undefined>;
}

export interface OpenApiDocument {
  readonly paths: Record<string, Record<string, Operation | undefined> | undefined>;
  readonly components: { readonly schemas: Record<string, object> };
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

async function sendOnly(address: string, line: string, { json, raw, headers = {}, admin }: Options): Promise<Reply> {
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

const documents = new Map<string, Promise<OpenApiDocument>>();

/** The document as this replica publishes it. */
export function publishedDocument(address: string): Promise<OpenApiDocument> {
  const known = documents.get(address) ?? sendOnly(address, 'GET /openapi.json', {}).then(({ body }) => body as unknown as OpenApiDocument);
  documents.set(address, known);
  return known;
}

/** The status of an answer of a documented operation is documented, and its body is of the documented shape. */
export async function expectDocumented(address: string, line: string, { status, headers, body }: Reply): Promise<void> {
  const [method = '', target = ''] = line.split(' ');
  const { paths, components } = await publishedDocument(address);
  const path = Object.keys(paths).find((template) => matches(template, target.replace(/\?.*/, '')));
  const operation = path === undefined ? undefined : paths[path]?.[method.toLowerCase()];
  if (operation === undefined) return;
  const seen = `${method} ${String(path)} ${String(status)}`;
  const response = operation.responses[String(status)];
  expect(response ? seen : `${seen} is not in the document`).toBe(seen);
  const type = (headers['content-type'] ?? '').replace(/;.*/, '');
  const documented = Object.keys(response?.content ?? {});
  expect(documented).toContain(type);
  if (!type.endsWith('json')) return;
  const schema = { ...response?.content?.[type]?.schema, $defs: components.schemas };
  const local = JSON.stringify(schema).replaceAll('#/components/schemas/', '#/$defs/');
  const shape = z.fromJSONSchema(JSON.parse(local) as Parameters<typeof z.fromJSONSchema>[0]);
  expect(shape.safeParse(body).error?.issues ?? []).toEqual([]);
}

/** A documented path, as "/events/{event_id}", against a real one. */
export function matches(template: string, path: string): boolean {
  const parts = template.split('/');
  const given = path.split('/');
  return parts.length === given.length && parts.every((part, index) => part.startsWith('{') || part === given[index]);
}
