/**
 * An HTTP server for an Express application. Express gives each request and response a prototype of its own by
 * `Object.setPrototypeOf`, which turns objects that the JavaScript engine knew well into ones that it does not: it costs three
 * quarters of the application's speed, and lets them outlive several collections of garbage (expressjs/express#5998; an
 * empty route answered 15,000 requests a second with it, 62,000 without). Node can make them with the right prototype to
 * begin with (nodejs/node#15752), and then Express's call changes nothing.
 */
import { createServer, IncomingMessage, type RequestListener, type Server, type ServerOptions, ServerResponse } from 'node:http';
import type { Express } from 'express';
import { headersMax, refuseMalformed } from './malformed.js';

/** Of all headers of a request together, its target included. */
const headerBytesMax = 16 * 1024;

/**
 * Changes the prototypes that the application keeps for its requests: one server for each application.
 *
 * @param listener what a request meets first: the application itself, or what stands before it
 */
export function createExpressServer(app: Express, listener: RequestListener, options: ServerOptions = {}): Server {
  class ExpressRequest extends IncomingMessage {}
  class ExpressResponse extends ServerResponse {}
  Object.setPrototypeOf(ExpressRequest.prototype, app.request);
  Object.setPrototypeOf(ExpressResponse.prototype, app.response);
  app.request = ExpressRequest.prototype as typeof app.request;
  app.response = ExpressResponse.prototype as typeof app.response;
  const server = createServer(
    {
      ...options,
      IncomingMessage: ExpressRequest,
      ServerResponse: ExpressResponse,
      maxHeaderSize: headerBytesMax,
      requireHostHeader: false, // refuseMalformed requires it; Node's own refusal has no body
    },
    refuseMalformed(listener),
  );
  server.maxHeadersCount = headersMax + 1; // Node drops the rest silently, so one more than allowed is kept, to be seen
  // Node would close a connection as soon as its client has shut down its side, whatever it still waits for. Not in Node's types.
  (server as Server & { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true;
  return server;
}
