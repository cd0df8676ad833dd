/** Serves the OpenAPI document at /openapi.json and as a web page at /docs, with assets from an npm package. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { IRouter, RequestHandler } from 'express';
import helmet from 'helmet';
import { openApiDocument } from '../contract/openapi/document.js';
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

/**
 * @param probed whether probes and metrics are on this port too
 * @param share bounds the answers in progress; the largest one has 1.7 MB
 */
export function docs(router: IRouter, probed: boolean, share: RequestHandler): void {
  // Swagger UI sets inline styles and embeds its icons as data: URLs; nothing is loaded from other hosts.
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
  // Served from memory: with streamed files, a client that never reads its answer would keep a file open.
  const asset = (file: string) => readFileSync(join(assets, file));

  serve('/openapi.json', 'json', Buffer.from(JSON.stringify(openApiDocument(probed))));
  serve('/docs', 'html', Buffer.from(page));
  serve('/docs/start.js', 'js', Buffer.from(start));
  serve('/docs/swagger-ui.css', 'css', asset('swagger-ui.css'));
  serve('/docs/swagger-ui-bundle.js', 'js', asset('swagger-ui-bundle.js'));
}

/**
 * Sends the same bytes to every client. All answers share one buffer; a string would be encoded again for each answer.
 * The bytes are compressed once, outside the event loop, when the first client accepts gzip. Browsers cache them and revalidate,
 * because a URL stays the same across versions.
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
