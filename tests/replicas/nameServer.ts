/** Docker's name server, as far as a balancer can tell: one name, and an address for each container that runs. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

const typeA = 1;
const headerBytes = 12;

export class NameServer {
  readonly addresses = new Set<string>();

  private constructor(private readonly socket: Socket) {
    socket.on('message', (query, { port, address }) => {
      socket.send(this.#answer(query), port, address);
    });
  }

  static async open(): Promise<NameServer> {
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new NameServer(socket);
  }

  /** 127.0.0.1:port */
  get address(): string {
    return `127.0.0.1:${String(this.socket.address().port)}`;
  }

  /** Whatever is asked for, by whatever name: RFC 1035, section 4. */
  #answer(query: Buffer): Buffer {
    let end = headerBytes;
    while (query[end] !== 0) end += query[end]! + 1;
    const question = query.subarray(headerBytes, end + 5);
    const found = query.readUInt16BE(end + 1) === typeA ? [...this.addresses] : [];
    const header = Buffer.from(query.subarray(0, headerBytes));
    header.writeUInt16BE(0x8180, 2); // an answer, without an error
    header.writeUInt16BE(found.length, 6);
    header.writeUInt32BE(0, 8);
    const records = found.map((address) =>
      // The name of the question, type A, class IN, 600 s as Docker says, four bytes.
      Buffer.from([0xc0, headerBytes, 0, typeA, 0, 1, 0, 0, 2, 88, 0, 4, ...address.split('.').map(Number)]),
    );
    return Buffer.concat([header, question, ...records]);
  }

  close(): void {
    this.socket.close();
  }
}
