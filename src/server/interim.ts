import { STATUS_CODES, type ServerResponse } from 'node:http';

import type { ClientLink } from '../cache/handled.ts';
import type { FieldLines } from '../core/fields.ts';
import { interimFields, MAX_INTERIM_RESPONSES } from '../core/interim.ts';

/** Passes interim responses (RFC 9110 §15.2) on to the client of a response whose final head has not been written. */
export class InterimLink implements ClientLink {
  readonly #res: ServerResponse;
  #passed = 0;

  constructor(res: ServerResponse) {
    this.#res = res;
  }

  interim(status: number, fields: FieldLines): void {
    const res = this.#res;
    const passed = interimFields(status, fields);
    // HTTP/1.0 knows none: such a client would take it for the answer (RFC 9110 §15.2).
    if (passed === undefined || res.req.httpVersion === '1.0' || this.#passed === MAX_INTERIM_RESPONSES) return;
    this.#passed += 1;
    if (res.socket === null) {
      // Others of its connection are answered first; written now, `node:http` would put the final head before it.
      res.once('socket', () => write(res, status, passed));
      return;
    }
    write(res, status, passed);
  }

  get isOver(): boolean {
    return this.#res.closed || this.#res.destroyed;
  }

  whenOver(callback: () => void): void {
    if (this.isOver) callback();
    else this.#res.once('close', callback);
  }

  whenGone(callback: () => void): void {
    this.whenOver(callback);
  }
}

/** Whose clients wait to be told to go on. */
const expectant = new WeakSet<ServerResponse>();

/** Its client sends the content when it is told to. To be called before anything of the response is written. */
export function expectsToGoOn(res: ServerResponse): void {
  // `node:http` ends the connection of who was not told to go on, as content may be on its way: also where there is none, or all of it has
  // come, and with what is behind it. Whoever writes the response knows what is unread, and ends it there.
  Reflect.set(res, '_expect_continue', false);
  const { headers } = res.req;
  const hasContent = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  // Nobody waits to be told to send nothing (RFC 9110 §10.1.1).
  if (hasContent) expectant.add(res);
}

/**
 * Tells a client that waits for it to send its content (RFC 9110 §10.1.1); to be called when that is to be read, since one that is refused
 * by its head need not send any. Behind responses that are still owed `node:http` would put the final head in front of
 * it, and it would be read as content.
 */
export function tellToGoOn(res: ServerResponse): void {
  if (!expectant.delete(res)) return;
  if (res.socket !== null) {
    res.writeContinue();
    return;
  }
  res.once('socket', () => {
    if (!res.headersSent) res.writeContinue();
  });
}

/**
 * Straight to the socket, where `node:http` would put it too: its own method for this is not in all versions of Node that
 * the program runs on.
 */
function write(res: ServerResponse, status: number, fields: FieldLines): void {
  const { socket } = res;
  // The final head ends it: what came later would be read as content.
  if (socket === null || res.headersSent || res.destroyed || !socket.writable) return;
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Interim'}\r\n${lines}\r\n`, 'latin1');
}
