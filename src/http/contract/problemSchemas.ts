/** The schemas of the error catalogue: one for each code, so that a client that has looked at `code` knows the other members. */
import { z } from 'zod';
import { catalogue, type ProblemCode, typeOf } from './problems.js';
import { formatOnly } from './rules.js';

const uuid = z.guid().meta({ ...formatOnly, format: 'uuid' });
const count = (description: string) => z.int().min(0).meta({ description });

const error = z
  .looseObject({
    in: z.enum(['body', 'path', 'query', 'header']),
    path: z.string().meta({ description: 'The dotted path of the member; empty for the whole input' }),
    message: z.string(),
  })
  .meta({ id: 'InvalidMember' });

/** The members of a problem beside those of every problem. */
const members: Partial<Record<ProblemCode, z.ZodRawShape>> = {
  validation: { errors: z.array(error).meta({ description: 'At most twenty' }) },
  'sold-out': {
    available_quantity: z.literal(0),
    held_quantity: count('Tickets that are held and may come back'),
  },
  'insufficient-availability': {
    available_quantity: count('Tickets that are left'),
    held_quantity: count('Tickets that are held and may come back'),
  },
  'sale-not-started': { sale_starts_at: z.iso.datetime().meta(formatOnly) },
  'buyer-limit-exceeded': { remaining: count('Tickets that the buyer can still have') },
  'purchase-limit-exceeded': { max_purchase_limit: z.int().min(1) },
  'outcome-unknown': { purchase_id: uuid.optional().meta({ description: 'To look up later; missing if the request was for no purchase' }) },
};

function schemaOf(code: ProblemCode) {
  const { status, title } = catalogue[code];
  return z
    .looseObject({
      type: z.literal(typeOf(code)),
      title: z.string(),
      status: z.literal(status),
      detail: z.string().meta({ description: 'One sentence for people' }),
      code: z.literal(code),
      request_id: z.string().meta({ description: 'As in X-Request-Id' }),
      ...members[code],
    })
    .meta({ id: `${pascalCase(code)}Problem`, description: title });
}

function pascalCase(code: string): string {
  return code.replace(/(?:^|-)([a-z])/g, (_match, letter: string) => letter.toUpperCase());
}

type ProblemSchema = ReturnType<typeof schemaOf>;

export const problemCodes = Object.keys(catalogue) as ProblemCode[];
const schemas = new Map(problemCodes.map((code) => [code, schemaOf(code)]));

/** One of several problems, distinguished by `code`. */
export function oneOf(codes: readonly ProblemCode[]): z.ZodType {
  const [first, ...others] = codes.flatMap((code) => schemas.get(code) ?? []) as [ProblemSchema, ...ProblemSchema[]];
  return others.length === 0 ? first : z.discriminatedUnion('code', [first, ...others]);
}

export const anyProblem = oneOf(problemCodes).meta({ id: 'Problem', description: 'Any problem; switch on `code`' });
