/** The page at `/`, which leads to everything else: HTML, or JSON for clients that prefer it. */
import { createHash } from 'node:crypto';
import { type IRouter, type RequestHandler, Router } from 'express';
import helmet from 'helmet';
import type { z } from 'zod';
import type { home as homeSchema } from '../contract/schemas.js';
import { sendJson, sendText } from '../middleware/send.js';
import { resource } from './resource.js';

const style = `
body { max-width: 40rem; margin: 4rem auto; padding: 0 1rem; font: 1rem/1.6 system-ui, sans-serif; color: #222; background: #fff }
dt { font-weight: 600 }
dd { margin: 0 0 1rem }
`;

/** Of `default-src 'none'`, the page needs its own style and an icon without a request for one. */
const policy = {
  useDefaults: false,
  directives: {
    defaultSrc: ["'none'"],
    styleSrc: [`'sha256-${createHash('sha256').update(style).digest('base64')}'`],
    imgSrc: ['data:'],
    baseUri: ["'none'"],
    formAction: ["'none'"],
    frameAncestors: ["'none'"],
  },
};

export interface Served {
  /** Whether /docs and /openapi.json are served. */
  readonly docs: boolean;
  /** Whether probes and metrics are on this port. */
  readonly operations: boolean;
}

export function home(router: IRouter, served: Served): void {
  const links: z.input<typeof homeSchema> = {
    name: 'onsale',
    events: '/events',
    ...(served.docs && { docs: '/docs', openapi: '/openapi.json' }),
    ...(served.operations && { readyz: '/readyz' }),
  };
  const html = pageOf(served);
  const show: RequestHandler = (req, res) => {
    res.vary('Accept');
    // The first is for clients that accept both alike, such as curl, and the page is also for those that accept neither.
    if (req.accepts(['html', 'json']) === 'json') sendJson(res, 200, links);
    else sendText(res, 200, html, 'text/html; charset=utf-8');
  };
  const strict = Router({ strict: true }); // elsewhere a trailing slash is ignored, but // must not be taken for /
  resource(strict, '/', { get: [helmet({ contentSecurityPolicy: policy, strictTransportSecurity: false }), show] });
  router.use(strict);
}

function pageOf({ docs, operations }: Served): string {
  const entries = [
    ['/events', 'Events', 'The events, newest first, with their availability.'],
    ...(docs ? [['/docs', 'API', 'Every operation, with an example of each request and each answer.']] : []),
    ...(operations ? [['/readyz', 'Readiness', 'Whether this replica can take traffic.']] : []),
  ] as const;
  const list = entries.map(([path, title, text]) => `      <dt><a href="${path}">${title}</a></dt>\n      <dd>${text}</dd>\n`);
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>onsale</title>
    <link rel="icon" href="data:,">
    <style>${style}</style>
  </head>
  <body>
    <h1>onsale</h1>
    <p>This is the API of a ticket sale.</p>
    <dl>
${list.join('')}    </dl>
  </body>
</html>
`;
}
