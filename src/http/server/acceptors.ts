/**
 * Accepting as many connections as come. In each turn of the event loop Node accepts one connection on a listening handle
 * (libuv/libuv#3696), and under load a turn takes 15 ms: at the opening of a sale, 65 new buyers a second, and the probes
 * behind them. So there are more handles of the same listening socket. To multiply one, it must pass through another process.
 */
import { spawn } from 'node:child_process';
import { createServer, type Server } from 'node:net';

const echo = "process.on('message', (message, handle) => process.send(message, handle))";
const patienceMs = 5_000;

/**
 * @param server listening
 * @param backlog of the listening socket; each handle that begins to listen sets it anew
 * @returns as many servers that accept connections for it, all to be closed when it is
 */
export async function addAcceptors(server: Server, count: number, backlog: number): Promise<Server[]> {
  const acceptors: Server[] = [];
  const mirror = spawn(process.execPath, ['-e', echo], {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    timeout: patienceMs,
    killSignal: 'SIGKILL',
  });
  try {
    await new Promise<void>((resolve, reject) => {
      mirror.on('error', reject);
      mirror.on('exit', () => {
        reject(new Error('the process that multiplies the listening handle ended too soon'));
      });
      mirror.on('message', (_message, handle) => {
        const acceptor = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => server.emit('connection', socket));
        acceptors.push(acceptor);
        acceptor.once('error', reject);
        acceptor.listen(handle, backlog);
        if (acceptors.length === count) resolve();
      });
      for (let sent = 0; sent < count; sent += 1) mirror.send('', handleOf(server));
    });
    return acceptors;
  } catch (error) {
    for (const acceptor of acceptors) acceptor.close();
    throw error;
  } finally {
    mirror.kill('SIGKILL');
  }
}

/** The bare handle: the server itself would begin to accept connections in the other process. Not in Node's documentation. */
function handleOf(server: Server): Server {
  return (server as unknown as { readonly _handle: Server })._handle;
}
