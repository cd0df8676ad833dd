/** Random values of the schemas of an OpenAPI document, and values that are almost of them. */
import fc from 'fast-check';
import type { ApiDocument, Schema } from './document.js';

type Members = Readonly<Record<string, unknown>>;

const codePoints = (text: string) => Array.from(text).length;
const [earliest, latest] = [new Date('1971-01-01T00:00:00Z'), new Date('2100-01-01T00:00:00Z')];
/** Patterns that fast-check cannot turn into texts exclude characters one by one. */
const excludesCharacters = /\\p|\[\^/;

/** Values that the schema allows. */
export function valuesOf(document: ApiDocument, given: Schema): fc.Arbitrary<unknown> {
  const schema = document.resolve(given);
  const alternatives = (schema['anyOf'] ?? schema['oneOf']) as readonly Schema[] | undefined;
  if (alternatives) return fc.oneof(...alternatives.map((each) => valuesOf(document, each)));
  if (schema['const'] !== undefined) return fc.constant(schema['const']);
  if (schema['enum'] !== undefined) return fc.constantFrom(...(schema['enum'] as readonly unknown[]));
  switch (schema['type']) {
    case 'object':
      return objectsOf(document, schema);
    case 'string':
      return textsOf(schema);
    case 'integer':
      return integersOf(schema);
    case 'null':
      return fc.constant(null);
    default:
      throw new Error(`no values for the schema ${JSON.stringify(schema)}`);
  }
}

function objectsOf(document: ApiDocument, schema: Schema): fc.Arbitrary<Members> {
  const properties = (schema['properties'] ?? {}) as Readonly<Record<string, Schema>>;
  const requiredKeys = (schema['required'] ?? []) as string[];
  const shape = Object.fromEntries(Object.entries(properties).map(([name, member]) => [name, valuesOf(document, member)]));
  const objects: fc.Arbitrary<Members> = fc.record(shape, { requiredKeys, noNullPrototype: true });
  const least = (schema['minProperties'] ?? 0) as number;
  return objects.filter((value) => Object.keys(value).length >= least);
}

/** Small numbers, the bounds, and anything between them. */
function integersOf(schema: Schema): fc.Arbitrary<number> {
  const { minimum: min = 0, maximum: max = Number.MAX_SAFE_INTEGER } = schema as { readonly minimum?: number; readonly maximum?: number };
  return fc.oneof(
    fc.integer({ min, max: Math.min(max, min + 10) }),
    fc.constantFrom(min, max),
    fc.maxSafeInteger().filter((n) => n >= min && n <= max),
  );
}

function textsOf(schema: Schema): fc.Arbitrary<string> {
  const {
    format,
    pattern,
    minLength: min = 0,
    maxLength: max = 1_000,
  } = schema as Partial<Record<'format' | 'pattern', string>> & Partial<Record<'minLength' | 'maxLength', number>>;
  if (format === 'uuid')
    return fc.oneof(
      fc.uuid(),
      fc.uuid().map((id) => id.toUpperCase()),
    );
  if (format === 'date-time') {
    return fc.date({ min: earliest, max: latest, noInvalidDate: true }).map((date) => date.toISOString());
  }
  if (pattern !== undefined && !excludesCharacters.test(pattern)) return fc.stringMatching(new RegExp(pattern));
  const allowed = new RegExp(pattern ?? '', 'u');
  const any = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 20 }), fc.string({ unit: 'binary', maxLength: 20 }));
  const texts = fc.oneof(
    { weight: 9, arbitrary: any },
    { weight: 1, arbitrary: fc.constantFrom('x', '🎟', 'ü').map((each) => each.repeat(max)) },
  );
  return texts
    .map((text) =>
      Array.from(text)
        .filter((character) => allowed.test(character) && character.isWellFormed())
        .join(''),
    )
    .filter((text) => codePoints(text) >= min && codePoints(text) <= max);
}

/** Values that no schema of the API expects where they stand, or hardly one. */
const strange: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    '',
    ' ',
    '0',
    'null',
    [],
    {},
    0,
    -1,
    0.5,
    1e300,
    2 ** 53,
    -(2 ** 31),
    2 ** 31,
    '\u0000',
    '\ud83c',
    'x'.repeat(300),
  ),
  fc.constantFrom<unknown>(
    '2026-02-30T00:00:00Z',
    '0001-01-01T00:00:00Z',
    '9999-12-31T23:59:60Z',
    '2026-05-01',
    '2026-05-01T18:00:00+99:00',
  ),
  fc.jsonValue({ maxDepth: 2 }),
);

/** An allowed object of which one thing was changed: mostly it is not allowed any more. */
export function nearly(document: ApiDocument, schema: Schema): fc.Arbitrary<unknown> {
  const { properties = {} } = document.resolve(schema) as { readonly properties?: Readonly<Record<string, Schema>> };
  const names = Object.keys(properties);
  const valid = valuesOf(document, schema) as fc.Arbitrary<Members>;
  const others: fc.Arbitrary<unknown>[] = [strange, unknownMember(document, schema)];
  if (names.length === 0) return fc.oneof(...others);
  const name = fc.constantFrom(...names);
  const replaced = fc.tuple(valid, name, strange).map(([value, member, wrong]) => ({ ...value, [member]: wrong }));
  const removed = fc
    .tuple(valid, name)
    .map(([value, member]) => Object.fromEntries(Object.entries(value).filter(([each]) => each !== member)));
  return fc.oneof({ weight: 4, arbitrary: replaced }, { weight: 2, arbitrary: removed }, ...others);
}

/** An allowed object with a member more. */
export function unknownMember(document: ApiDocument, schema: Schema): fc.Arbitrary<Members> {
  const { properties = {} } = document.resolve(schema) as { readonly properties?: Readonly<Record<string, Schema>> };
  const unknown = fc
    .oneof(fc.constantFrom('price', 'id', 'Quantity', 'constructor', 'toString', 'ключ'), fc.string({ minLength: 1, maxLength: 12 }))
    .filter((name) => !Object.hasOwn(properties, name) && name !== '__proto__' && name !== 'total_quota');
  return fc
    .tuple(valuesOf(document, schema) as fc.Arbitrary<Members>, unknown, fc.jsonValue({ maxDepth: 1 }))
    .map(([value, name, more]) => ({
      ...value,
      [name]: more,
    }));
}

/** Ids that are none. */
export const malformedIds = fc
  .oneof(
    fc.constantFrom('1', 'x', '%00', '%zz', '%ff', '..%2f..', "1'--", 'null', '019aab5c4c2e7d0b9a520d7f3a9c1e44'),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).map((text) => encodeURIComponent(text.toWellFormed())),
    fc.uuid().map((id) => id.slice(1)),
  )
  // A dot is a step in the path, which clients take before they send it.
  .filter((id) => !/^(?:\.|%2e){1,2}$/i.test(id));

export const wrongMediaTypes = fc.oneof(
  fc.constantFrom('text/plain', 'application/xml', 'application/x-www-form-urlencoded', 'application/json; charset=latin1', 'text/json'),
  fc.stringMatching(/^[a-z]{1,8}\/[a-z]{1,8}(\+json)?$/).filter((type) => type !== 'application/json'),
);
