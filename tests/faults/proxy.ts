/**
 * A way to Postgres on which everything goes wrong that can go wrong on a network, at the worst moments: it understands
 * the wire protocol just enough to know when a commit is on its way and when its answer is.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { CommitSpotter, type CommitWay, Framer, type Message } from './wire.js';

/**
 * What can befall a commit. `cut before`: it never reaches the server. `cut within`: sent on, and the connection is cut at
 * once. `cut after`: the server has committed, and its answer never arrives. `delivered late`: the client has lost its
 * connection when, a while later, the commit reaches the server.
 */
export type CommitFate = 'cut before' | 'cut within' | 'cut after' | 'delivered late';

export interface Mishap {
  readonly fate: CommitFate;
  /** For `delivered late`: after so long, or when it is time. */
  readonly lateByMs?: number;
  readonly lateUntil?: Promise<void>;
}

export interface ProxyOptions {
  readonly port: number;
  /** Asked at each commit on its way; undefined lets it pass. */
  readonly mishap?: (commits: CommitWay) => Mishap | undefined;
  /** Told when it has happened, with certainty. */
  readonly happened?: (fate: CommitFate, commits: CommitWay) => void;
}

export class Proxy {
  readonly #links = new Set<Link>();
  readonly #server: Server;
  /** Of the Postgres behind it; can be changed at any time, for connections to come. */
  target: number;
  mishap: NonNullable<ProxyOptions['mishap']>;
  happened: NonNullable<ProxyOptions['happened']>;
  silent = false;
  /** Commits that their client has lost, and that are still to be delivered or to be done by the server. */
  late = 0;

  private constructor({ port, mishap, happened }: ProxyOptions) {
    this.target = port;
    this.mishap = mishap ?? (() => undefined);
    this.happened = happened ?? (() => undefined);
    this.#server = createServer((near) => {
      const link = new Link(near, this);
      this.#links.add(link);
      link.closed.then(
        () => this.#links.delete(link),
        () => undefined,
      );
    });
  }

  static async open(options: ProxyOptions): Promise<Proxy> {
    const proxy = new Proxy(options);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject);
      proxy.#server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections at the moment. */
  get links(): readonly Link[] {
    return [...this.#links];
  }

  /** Drops whatever comes, on connections old and new, until `speak`. Those of that time are of no use after it, and are cut. */
  fallSilent(): void {
    this.silent = true;
    for (const link of this.#links) link.silent = true;
  }

  speak(): void {
    this.silent = false;
    for (const link of this.#links) if (link.silent) link.reset();
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const link of this.#links) link.reset();
    await closed;
    await Promise.all(this.links.map((link) => link.closed));
  }
}

/** One connection of the API, and the one of ours to Postgres that carries it on. */
export class Link {
  readonly #near: Socket;
  readonly #far: Socket;
  readonly #proxy: Proxy;
  readonly #spotter = new CommitSpotter();
  /** Replies to a commit whose answer must not arrive; undefined: replies pass. */
  #withheld: Buffer[] | undefined;
  #withheldOf: CommitWay = 'by COMMIT';
  #committed = false;
  /** Its commit is still to be delivered. */
  #isLate = false;
  #late: NodeJS.Timeout | undefined;
  /** Takes everything, passes nothing on. */
  silent: boolean;
  /** Both ends are gone, and nothing is on its way. */
  readonly closed: Promise<void>;

  constructor(near: Socket, proxy: Proxy) {
    this.#near = near;
    this.#proxy = proxy;
    this.silent = proxy.silent;
    this.#far = connect({ host: '127.0.0.1', port: proxy.target, noDelay: true });
    near.setNoDelay(true);
    const requests = new Framer('client');
    const replies = new Framer('server');
    near.on('data', (chunk) => {
      for (const message of requests.push(chunk)) this.#request(message);
    });
    this.#far.on('data', (chunk) => {
      for (const message of replies.push(chunk)) this.#reply(message);
    });
    const gone = [near, this.#far].map(
      (socket) =>
        new Promise<void>((resolve) => {
          socket.on('error', () => undefined);
          socket.on('close', () => {
            if (!this.#isLate) this.reset();
            resolve();
          });
        }),
    );
    this.closed = Promise.all(gone).then(() => undefined);
  }

  /** Both ends see a reset. */
  reset(): void {
    clearTimeout(this.#late);
    this.#isLate = false;
    reset(this.#near);
    reset(this.#far);
  }

  /** Holds everything back for a while; nothing is lost. */
  stall(forMs: number): void {
    for (const socket of [this.#near, this.#far]) socket.pause();
    setTimeout(() => {
      for (const socket of [this.#near, this.#far]) socket.resume();
    }, forMs);
  }

  #request(message: Message): void {
    if (this.silent || this.#near.destroyed) return;
    const stretch = this.#spotter.follow(message);
    if (!stretch) return;
    const { bytes, commits } = stretch;
    const mishap = commits && this.#proxy.mishap(commits);
    if (mishap) this.#suffer(mishap, bytes, commits);
    else this.#far.write(bytes);
  }

  #suffer({ fate, lateByMs = 100, lateUntil }: Mishap, bytes: Buffer, commits: CommitWay): void {
    switch (fate) {
      case 'cut before':
        this.reset();
        this.#proxy.happened(fate, commits);
        return;
      case 'cut within':
        this.#far.write(bytes, () => {
          this.reset();
          this.#proxy.happened(fate, commits);
        });
        return;
      case 'cut after':
        this.#withheld = [];
        this.#withheldOf = commits;
        this.#committed = true;
        this.#far.write(bytes);
        return;
      case 'delivered late':
        this.#proxy.late += 1;
        this.closed.then(
          () => (this.#proxy.late -= 1),
          () => undefined,
        );
        this.#isLate = true;
        if (lateUntil)
          void lateUntil.then(() => {
            this.#deliver(bytes, commits);
          });
        else
          this.#late = setTimeout(() => {
            this.#deliver(bytes, commits);
          }, lateByMs);
        reset(this.#near);
    }
  }

  #deliver(bytes: Buffer, commits: CommitWay): void {
    if (this.#far.destroyed) return;
    this.#far.end(bytes);
    this.#proxy.happened('delivered late', commits);
  }

  #reply(message: Message): void {
    if (message.type === 'Z') this.#spotter.ready(message);
    if (this.silent || this.#near.destroyed) return;
    if (!this.#withheld) {
      this.#near.write(message.bytes);
      return;
    }
    this.#withheld.push(message.bytes);
    if (message.type === 'E' || (message.type === 'C' && message.bytes.toString('latin1', 5).startsWith('ROLLBACK')))
      this.#committed = false;
    if (message.type !== 'Z') return;
    // Only after ReadyForQuery is a statement that commits by itself certainly committed.
    if (this.#committed) {
      this.reset();
      this.#proxy.happened('cut after', this.#withheldOf);
      return;
    }
    this.#near.write(Buffer.concat(this.#withheld));
    this.#withheld = undefined;
  }
}

/**
 * `resetAndDestroy` alone would first wait until everything written has been taken; and libuv resets no socket that is
 * being shut down, after which Node would never close it.
 */
function reset(socket: Socket): void {
  if (!socket.writableEnded) socket.resetAndDestroy();
  socket.destroy();
}
