/**
 * Accepts connections fast enough for the opening of a sale. Node accepts one connection per listening handle in each turn of
 * the event loop (libuv/libuv#3696). Under load a turn takes 15 ms, so a single handle accepts 65 buyers a second, and probes
 * wait behind them. This module adds handles of the same listening socket; to duplicate a handle, it must pass through another
 * process.
 */
import { spawn } from 'node:child_process';
import { createServer, type Server } from 'node:net';

const echo = "process.on('message', (message, handle) => process.send(message, handle))";
const patienceMs = 5_000;

/**
 * @param server a listening server
 * @param count the number of acceptors to add
 * @param backlog the backlog of the listening socket, which each handle sets again when it starts to listen
 * @returns the servers that accept connections for `server`; close them with it
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
        reject(new Error('the process that duplicates the listening handle exited early'));
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

/** The internal handle, which Node does not document. A `Server` that is sent would start accepting in the other process. */
function handleOf(server: Server): Server {
  return (server as unknown as { readonly _handle: Server })._handle;
}
