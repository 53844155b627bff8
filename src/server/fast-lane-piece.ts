import type { Socket } from 'node:net';

/** An answer that is more by head and content together is written in two pieces. */
export const MAX_PIECE_BYTES = 32 * 1024;

/**
 * Puts the head and the content of an answer in one piece, in memory that is used again as soon as the kernel has taken that. Each
 * further piece of a write costs more than to copy it, and as text the content would be copied three times.
 */
export class Piece {
  #bytes: Buffer | undefined;

  /** Writes one answer to a connection on which nothing is left to be sent. `head`: a character for each byte. */
  write(socket: Socket, head: string, content: Buffer): void {
    const length = head.length + content.length;
    if (length > MAX_PIECE_BYTES) {
      socket.cork();
      socket.write(head, 'latin1');
      socket.write(content);
      socket.uncork();
      return;
    }
    const bytes = (this.#bytes ??= Buffer.allocUnsafeSlow(MAX_PIECE_BYTES));
    bytes.write(head, 0, 'latin1');
    content.copy(bytes, head.length);
    socket.write(bytes.subarray(0, length));
    // What the kernel has not taken yet is sent from there later.
    if (socket.writableLength > 0) this.#bytes = undefined;
  }
}
