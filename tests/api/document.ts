/** The OpenAPI document that a replica publishes, and what it says of an answer. */
import { type ErrorObject, type ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';

export interface Schema extends Readonly<Record<string, unknown>> {
  readonly $ref?: string;
}

interface Content {
  readonly schema: Schema;
  readonly examples?: Readonly<Record<string, { readonly summary: string; readonly value: unknown }>>;
}

export interface DocumentedHeader {
  readonly $ref?: string;
  readonly required?: boolean;
  readonly schema: Schema;
}

export interface DocumentedResponse {
  readonly description: string;
  readonly headers?: Readonly<Record<string, DocumentedHeader>>;
  readonly content?: Readonly<Record<string, Content>>;
}

export interface Parameter {
  readonly in: 'path' | 'query' | 'header';
  readonly name: string;
  readonly required?: boolean;
  readonly schema: Schema;
}

export interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly security?: readonly object[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required?: boolean; readonly content: Readonly<Record<string, Content>> };
  readonly responses: Readonly<Record<string, DocumentedResponse | undefined>>;
}

export interface OpenApiDocument {
  readonly info: { readonly description: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation | undefined>> | undefined>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, Schema>>;
    readonly headers: Readonly<Record<string, DocumentedHeader>>;
    readonly securitySchemes: Readonly<Record<string, object>>;
  };
}

/** An answer, as far as a document describes it. */
export interface DescribedReply {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/** Headers of HTTP itself, and those by which a browser protects the page that it shows. */
const notOfTheApi = new Set(
  ['date', 'connection', 'keep-alive', 'content-length', 'content-type', 'transfer-encoding', 'content-security-policy'].concat(
    ['cross-origin-opener-policy', 'cross-origin-resource-policy', 'origin-agent-cluster', 'referrer-policy'],
    ['x-dns-prefetch-control', 'x-download-options', 'x-frame-options', 'x-permitted-cross-domain-policies', 'x-xss-protection'],
  ),
);

const name = 'openapi.json';

export class ApiDocument {
  readonly #ajv = new Ajv2020({ strict: false, validateSchema: false, allErrors: true });
  readonly #validators = new Map<string, ValidateFunction>();

  constructor(readonly content: OpenApiDocument) {
    this.#ajv.addFormat('uuid', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i);
    this.#ajv.addFormat('date-time', {
      validate: (text: string) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text)),
    });
    this.#ajv.addSchema(content, name);
  }

  /** As ["GET", "/events", operation]. */
  operations(): readonly (readonly [method: string, path: string, operation: Operation])[] {
    return Object.entries(this.content.paths).flatMap(([path, item]) =>
      Object.entries(item ?? {}).flatMap(([method, operation]) => (operation ? [[method.toUpperCase(), path, operation] as const] : [])),
    );
  }

  /** @param target a path of the API, with or without a slash at its end and a query */
  find(method: string, target: string): { readonly path: string; readonly operation: Operation | undefined } | undefined {
    const given = target.replace(/[?#].*/s, '').replace(/(?<=[^/])\/$/, '');
    const path = Object.keys(this.content.paths).find((template) => matches(template, given));
    // HEAD is answered as GET is.
    const documented = method === 'HEAD' ? 'get' : method.toLowerCase();
    return path === undefined ? undefined : { path, operation: this.content.paths[path]?.[documented] };
  }

  /** @param pointer the keys that lead to a schema of the document */
  errors(pointer: readonly string[], value: unknown): readonly ErrorObject[] {
    const fragment = pointer.map((key) => encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/');
    const validate = this.#validators.get(fragment) ?? this.#ajv.compile({ $ref: `${name}#/${fragment}` });
    this.#validators.set(fragment, validate);
    return validate(value) ? [] : (validate.errors ?? []);
  }

  resolve<T extends { readonly $ref?: string }>(node: T): T {
    if (node.$ref === undefined) return node;
    const found = node.$ref
      .slice('#/'.length)
      .split('/')
      .reduce<unknown>((parent, key) => (parent as Record<string, unknown>)[key], this.content);
    return found as T;
  }

  /** @returns everything about the answer that the document does not describe; nothing for requests that it has no operation for */
  undescribed(method: string, target: string, reply: DescribedReply): string[] {
    const { path, operation } = this.find(method, target) ?? {};
    if (path === undefined || operation === undefined) return [];
    const status = String(reply.status);
    const response = operation.responses[status];
    if (!response) return [`${method} ${path} ${status} is not in the document`];
    const pointer = ['paths', path, method === 'HEAD' ? 'get' : method.toLowerCase(), 'responses', status];
    const faults = [...this.#headerFaults(pointer, response, reply), ...this.#bodyFaults(pointer, response, reply, method)];
    return faults.map((fault) => `${method} ${path} ${status}: ${fault}`);
  }

  #headerFaults(pointer: readonly string[], { headers = {} }: DocumentedResponse, reply: DescribedReply): string[] {
    const documented = new Set(Object.keys(headers).map((each) => each.toLowerCase()));
    const unknown = Object.keys(reply.headers).filter((each) => !notOfTheApi.has(each) && !documented.has(each));
    const wrong = Object.entries(headers).flatMap(([header, described]) => {
      const value = reply.headers[header.toLowerCase()];
      if (value === undefined) return this.resolve(described).required === true ? [`the header ${header} is missing`] : [];
      const place = described.$ref === undefined ? [...pointer, 'headers', header] : described.$ref.slice('#/'.length).split('/');
      return this.errors([...place, 'schema'], value).map(({ message }) => `the header ${header} ${String(message)}`);
    });
    return [...unknown.map((each) => `the header ${each} is not in the document`), ...wrong];
  }

  /** Members that the schema does not describe: it allows them, because later versions may have more. */
  unknownMembers(given: Schema, value: unknown, path: string): string[] {
    const { oneOf, anyOf, items, properties = {} } = this.resolve(given) as Shape;
    const alternatives = oneOf ?? anyOf;
    if (alternatives) {
      const chosen = alternatives.find((each) => this.#fits(each, value));
      return chosen ? this.unknownMembers(chosen, value, path) : [];
    }
    if (Array.isArray(value) && items) return value.flatMap((each) => this.unknownMembers(items, each, `${path}[]`));
    if (typeof value !== 'object' || value === null || Object.keys(properties).length === 0) return []; // such as a whole document
    return Object.entries(value).flatMap(([name, member]) => {
      const described = properties[name];
      return described ? this.unknownMembers(described, member, `${path}.${name}`) : [`${path}.${name}`];
    });
  }

  /** Problems are distinguished by their code; the other alternatives are null and something else. */
  #fits(given: Schema, value: unknown): boolean {
    const { type, properties } = this.resolve(given) as Shape;
    const code = properties?.['code']?.['const'];
    return code === undefined ? (type === 'null') === (value === null) : code === (value as ProblemBody).code;
  }

  #bodyFaults(pointer: readonly string[], { content = {} }: DocumentedResponse, reply: DescribedReply, method: string): string[] {
    const type = (reply.headers['content-type'] ?? '').replace(/;.*/, '');
    const described = content[type];
    if (described === undefined)
      return type === '' && Object.keys(content).length === 0 ? [] : [`the media type "${type}" is not in the document`];
    if (method === 'HEAD' || !type.endsWith('json')) return [];
    const invalid = this.errors([...pointer, 'content', type, 'schema'], reply.body).map(
      ({ instancePath, message }) => `the body${instancePath} ${String(message)}`,
    );
    const unknown = this.unknownMembers(described.schema, reply.body, 'the body').map((each) => `${each} is not in the document`);
    return [...invalid, ...unknown, ...(type === 'application/problem+json' ? exampleFaults(described, reply.body as ProblemBody) : [])];
  }
}

interface Shape {
  readonly type?: string;
  readonly oneOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
}

interface ProblemBody extends Readonly<Record<string, unknown>> {
  readonly code: string;
}

/** Members that a problem has only sometimes. */
const optional = new Set(['purchase_id']);
const membersOf = (body: unknown) =>
  Object.keys(body as object)
    .filter((member) => !optional.has(member))
    .sort();

/** The document has an example of the problem, with the same members. */
function exampleFaults({ examples = {} }: Content, body: ProblemBody): string[] {
  const example = examples[body.code];
  if (example === undefined) return [`the code ${body.code} has no example`];
  const [documented, real] = [membersOf(example.value).join(), membersOf(body).join()];
  return documented === real ? [] : [`the example of ${body.code} has ${documented}, the answer ${real}`];
}

/** A documented path, as "/events/{event_id}", against a real one. */
function matches(template: string, path: string): boolean {
  const parts = template.split('/');
  const given = path.split('/');
  return (
    parts.length === given.length && parts.every((part, index) => (part.startsWith('{') ? given[index] !== '' : part === given[index]))
  );
}
