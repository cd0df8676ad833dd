/** A server that speaks as much of Postgres's protocol as a start needs, for states that a real one is hard to bring into. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

const sslRequest = 80_877_103;

export interface FakePostgres {
  readonly port: number;
  readonly url: string;
  /** May be changed while it runs. */
  replies: Replies;
  close(): Promise<void>;
}

/** What it says once a client has sent its start-up message, and to every query. */
export type Replies = { readonly refusal: { readonly state: string; readonly message: string } } | { readonly row: Record<string, string> };

export async function startFakePostgres(initial: Replies): Promise<FakePostgres> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    let started = false;
    socket.on('data', (message) => {
      if (!started && message.length >= 8 && message.readInt32BE(4) === sslRequest) {
        socket.write('N');
        return;
      }
      const { replies } = fake;
      if ('refusal' in replies) socket.end(errorResponse(replies.refusal.state, replies.refusal.message));
      else if (!started) socket.write(Buffer.concat([part('R', int32(0)), ready]));
      else socket.write(Buffer.concat([...rowOf(replies.row), part('C', text('SELECT 1')), ready]));
      started = true;
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const fake: FakePostgres = {
    replies: initial,
    port,
    url: `postgresql://onsale:secret@127.0.0.1:${String(port)}/onsale`,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return fake;
}

const text = (value: string) => Buffer.from(`${value}\0`);
const int32 = (value: number) => {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32BE(value);
  return buffer;
};
const int16 = (value: number) => int32(value).subarray(2);

const part = (type: string, body: Buffer) => Buffer.concat([Buffer.from(type), int32(body.length + 4), body]);
const ready = part('Z', Buffer.from('I'));

function errorResponse(state: string, message: string): Buffer {
  const fields = [`SFATAL`, `VFATAL`, `C${state}`, `M${message}`].map(text);
  return part('E', Buffer.concat([...fields, Buffer.from('\0')]));
}

/** All columns are text. */
function rowOf(row: Record<string, string>): Buffer[] {
  const oidOfText = 25;
  const columns = Object.keys(row).map((name) =>
    Buffer.concat([text(name), int32(0), int16(0), int32(oidOfText), int16(-1 & 0x7fff), int32(-1), int16(0)]),
  );
  const values = Object.values(row).map((value) => Buffer.concat([int32(Buffer.byteLength(value)), Buffer.from(value)]));
  return [part('T', Buffer.concat([int16(columns.length), ...columns])), part('D', Buffer.concat([int16(values.length), ...values]))];
}
