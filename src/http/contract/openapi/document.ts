/** Builds the OpenAPI 3.1 document from the validation schemas and the error catalogue. */
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject } from 'zod-openapi';
import { anyProblem } from '../problemSchemas.js';
import { adminPaths } from './admin.js';
import { buyerPaths, sellerPaths } from './buyer.js';
import { guide } from './guide.js';
import { documentPaths, probePaths } from './operations.js';

type Document = ReturnType<typeof createDocument>;

const tagged = (tag: string, paths: ZodOpenApiPathsObject): ZodOpenApiPathsObject =>
  Object.fromEntries(
    Object.entries(paths).map(([path, item]) => [
      path,
      Object.fromEntries(Object.entries(item).map(([method, found]) => [method, { tags: [tag], ...(found as ZodOpenApiOperationObject) }])),
    ]),
  );

/** @param probed whether probes and metrics are on the port that serves the document */
export function openApiDocument(probed: boolean): Document {
  return createDocument({
    openapi: '3.1.0',
    info: { title: 'onsale', version: '0.1.0', description: guide },
    servers: [{ url: '/' }],
    tags: [
      { name: 'buyer', description: 'See what is on sale, buy, look up, release' },
      { name: 'seller', description: "For the shop's back end, which takes the payment" },
      { name: 'admin', description: 'Events, their rules, their purchases and tickets' },
      { name: 'operations', description: 'Probes, metrics and documentation' },
    ],
    paths: {
      ...tagged('buyer', buyerPaths),
      ...tagged('seller', sellerPaths),
      ...tagged('admin', adminPaths),
      ...tagged('operations', { ...(probed && probePaths), ...documentPaths }),
    },
    components: {
      schemas: { Problem: anyProblem },
      securitySchemes: {
        adminToken: { type: 'http', scheme: 'bearer', description: 'The value of ADMIN_TOKEN, or the token printed at start' },
        sellerToken: { type: 'http', scheme: 'bearer', description: 'The value of SELLER_TOKEN' },
        buyerToken: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'A token of the issuer that the operator has configured; its subject is the buyer_id',
        },
      },
    },
  });
}
