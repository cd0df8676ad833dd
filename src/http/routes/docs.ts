/** The OpenAPI document, for machines at /openapi.json and for people at /docs, from assets that came with npm. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { IRouter, RequestHandler } from 'express';
import helmet from 'helmet';
import { openApiDocument } from '../contract/openapi.js';
import { resource } from './resource.js';

const assets = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
const compress = promisify(gzip);

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

/** @param share in front of each answer, the largest of which has 1.7 MB */
export function docs(router: IRouter, share: RequestHandler): void {
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
  const serve = (path: string, type: string, bytes: Buffer) => {
    resource(router, path, { get: [share, secure, sendSame(type, bytes)] });
  };
  // From memory: the file behind an answer that is never fetched would stay open.
  const asset = (file: string) => readFileSync(join(assets, file));

  serve('/openapi.json', 'json', Buffer.from(JSON.stringify(openApiDocument())));
  serve('/docs', 'html', Buffer.from(page));
  serve('/docs/start.js', 'js', Buffer.from(start));
  serve('/docs/swagger-ui.css', 'css', asset('swagger-ui.css'));
  serve('/docs/swagger-ui-bundle.js', 'js', asset('swagger-ui-bundle.js'));
}

/**
 * Sends the same bytes to everybody: all answers share one buffer, where a string would be encoded into another for each.
 * They are compressed once, when the first client asks for it, outside the event loop. Browsers keep them and ask
 * whether they are still the same: a URL does not change with the version.
 */
function sendSame(type: string, bytes: Buffer): RequestHandler {
  const hash = createHash('sha256').update(bytes).digest('base64url');
  let compressed: Promise<Buffer> | undefined;
  return async (req, res) => {
    const gzipped = req.acceptsEncodings('gzip', 'identity') === 'gzip';
    const body = gzipped ? await (compressed ??= compress(bytes)) : bytes;
    res.type(type).vary('Accept-Encoding');
    if (gzipped) res.set('Content-Encoding', 'gzip');
    res.set({ 'Cache-Control': 'no-cache', ETag: `"${hash}${gzipped ? '-gzip' : ''}"` }).send(body);
  };
}
