/** As much of Postgres's wire protocol (version 3) as it takes to see where one message ends, and which of them commits. */

export interface Message {
  /** The letter of its kind; empty for the first message of a client, which has none. */
  readonly type: string;
  /** All of it, type and length included. */
  readonly bytes: Buffer;
}

/** Cuts a stream of bytes into messages. */
export class Framer {
  #pending: Buffer = Buffer.alloc(0);
  #typed: boolean;

  /** @param from the client's first message has no type */
  constructor(from: 'client' | 'server') {
    this.#typed = from === 'server';
  }

  /** @returns the messages that are whole by now */
  push(chunk: Buffer): Message[] {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    const messages: Message[] = [];
    for (;;) {
      const header = this.#typed ? 1 : 0;
      if (this.#pending.length < header + 4) return messages;
      const end = header + this.#pending.readUInt32BE(header);
      if (this.#pending.length < end) return messages;
      const type = this.#typed ? String.fromCharCode(this.#pending[0]!) : '';
      messages.push({ type, bytes: this.#pending.subarray(0, end) });
      this.#pending = this.#pending.subarray(end);
      this.#typed = true;
    }
  }
}

/** COMMIT of a transaction, or a writing statement that is a transaction by itself. */
export type CommitWay = 'by COMMIT' | 'by itself';

/** A stretch of a client's messages that travels together. If it commits, then it does so as a whole or not at all. */
export interface Stretch {
  readonly bytes: Buffer;
  readonly commits: CommitWay | undefined;
}

/** Follows the messages of one client and says which of them commit. */
export class CommitSpotter {
  readonly #texts = new Map<string, string>();
  #gathered: Buffer[] | undefined;
  #inTransaction = false;

  /** Called at each ReadyForQuery of the server. */
  ready(message: Message): void {
    this.#inTransaction = message.bytes.toString('latin1', 5, 6) !== 'I';
  }

  /** @returns undefined while a writing statement is not yet whole */
  follow({ type, bytes }: Message): Stretch | undefined {
    if (this.#gathered) {
      this.#gathered.push(bytes);
      if (type !== 'S') return undefined;
      const whole = Buffer.concat(this.#gathered);
      this.#gathered = undefined;
      return { bytes: whole, commits: 'by itself' };
    }
    if (type === 'Q') return { bytes, commits: stringAt(bytes, 5) === 'COMMIT' ? 'by COMMIT' : undefined };
    if (type === 'P') {
      const name = stringAt(bytes, 5);
      this.#texts.set(name, stringAt(bytes, 5 + Buffer.byteLength(name) + 1));
    }
    if (type === 'B' && !this.#inTransaction && this.#writes(bytes)) {
      this.#gathered = [bytes];
      return undefined;
    }
    return { bytes, commits: undefined };
  }

  #writes(bind: Buffer): boolean {
    const portal = stringAt(bind, 5);
    const text = this.#texts.get(stringAt(bind, 5 + Buffer.byteLength(portal) + 1)) ?? '';
    return /\b(INSERT INTO|(?<!\bFOR |\bFOR NO KEY )UPDATE|DELETE FROM)\b/.test(text);
  }
}

/** Strings on the wire end in a zero byte. */
function stringAt(bytes: Buffer, start: number): string {
  return bytes.toString('utf8', start, bytes.indexOf(0, start));
}
