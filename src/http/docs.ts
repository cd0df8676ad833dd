/** The OpenAPI document, for machines at /openapi.json and for people at /docs, from assets that came with npm. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { IRouter, RequestHandler } from 'express';
import helmet from 'helmet';
import { openApiDocument } from './openapi.js';
import { resource } from './resource.js';

const assets = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));

const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>onsale API</title>
    <link rel="stylesheet" href="/docs/swagger-ui.css">
  </head>
  <body>
    <div id="ui"></div>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script src="/docs/start.js"></script>
  </body>
</html>
`;
const start = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#ui' });\n`;

export function docs(router: IRouter): void {
  const document = JSON.stringify(openApiDocument());
  // Swagger UI sets styles inline and has its icons as data: URLs; nothing is loaded from elsewhere.
  const policy = {
    directives: {
      styleSrc: ["'self'", "'unsafe-inline'"],
      imgSrc: ["'self'", 'data:'],
      fontSrc: ["'self'"],
      upgradeInsecureRequests: null,
    },
  };
  const secure = helmet({ contentSecurityPolicy: policy, strictTransportSecurity: false });

  const send = (type: string, text: string): RequestHandler[] => [secure, (_req, res) => res.type(type).send(text)];
  // From memory: the file behind an answer that is never fetched would stay open.
  const sendAsset = (type: string, file: string) => send(type, readFileSync(join(assets, file), 'utf8'));

  resource(router, '/openapi.json', { get: send('json', document) });
  resource(router, '/docs', { get: send('html', page) });
  resource(router, '/docs/start.js', { get: send('js', start) });
  resource(router, '/docs/swagger-ui.css', { get: sendAsset('css', 'swagger-ui.css') });
  resource(router, '/docs/swagger-ui-bundle.js', { get: sendAsset('js', 'swagger-ui-bundle.js') });
}
