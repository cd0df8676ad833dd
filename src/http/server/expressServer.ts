/**
 * An HTTP server for an Express application. Express changes the prototype of each request and response with
 * `Object.setPrototypeOf`, which defeats V8's optimisations: it costs three quarters of the throughput, and the objects survive
 * several garbage collections (expressjs/express#5998; an empty route answered 15,000 requests a second with the call, 62,000
 * without). Node can create them with Express's prototypes (nodejs/node#15752), and then Express's call changes nothing.
 */
import { createServer, IncomingMessage, type RequestListener, type Server, type ServerOptions, ServerResponse } from 'node:http';
import type { Express } from 'express';
import { headersMax, refuseMalformed } from './malformed.js';

/** All headers of a request together, including the request target. */
const headerBytesMax = 16 * 1024;

/**
 * Replaces the prototypes that the application uses for its requests and responses, so create one server per application.
 *
 * @param listener receives each request first: the application itself, or a listener in front of it
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
      requireHostHeader: false, // refuseMalformed checks it, because Node's own refusal has no body
    },
    refuseMalformed(listener),
  );
  server.maxHeadersCount = headersMax + 1; // Node drops further headers silently; one more than allowed reveals the excess
  // Otherwise Node closes a connection when its client half-closes it, even if an answer is owed. Not in Node's types.
  (server as Server & { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true;
  return server;
}
