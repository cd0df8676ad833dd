import type { IRouter, RequestHandler } from 'express';
import { methodNotAllowed } from '../contract/requestProblems.js';

type Method = 'get' | 'post' | 'patch';

/** Registers the handlers of one path. Every other method is answered 405 with `Allow`, and OPTIONS 204 with `Allow`. */
export function resource(router: IRouter, path: string, handlers: Partial<Record<Method, RequestHandler[]>>): void {
  const methods = Object.keys(handlers) as Method[];
  const allow = [...methods.map((method) => method.toUpperCase()), ...('get' in handlers ? ['HEAD'] : []), 'OPTIONS'].join(', ');
  const route = router.route(path);
  for (const method of methods) route[method](...(handlers[method] ?? []));
  route.all((req, res) => {
    if (req.method === 'OPTIONS') {
      res.status(204).set('Allow', allow).end();
      return;
    }
    throw methodNotAllowed(req.method, allow);
  });
}
