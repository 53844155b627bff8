import type { Socket } from 'node:net';

import { isTestedNode } from '../tested-node.ts';
import { WordBuffer } from './fast-lane-words.ts';

/** What libuv reads at most at once. */
const READ_BYTES = 64 * 1024;

/**
 * What came last on a connection that is read directly, until anything else is read: all have one buffer, as each read is told of in the step
 * in which it is done.
 */
let read: WordBuffer | undefined;

/** Bytes that came on a connection, the first so many of the buffer. False: nothing more shall be read for now. */
export type DirectRead = (buffer: WordBuffer, length: number) => boolean;

/**
 * Has what comes on a connection read into one buffer, and told without a `Buffer` of its own: what Node allocates, shrinks and frees for
 * each read took 0.45 of the 5 microseconds of a request that is answered with ready bytes.
 *
 * Node documents this for connections that it makes (`onread` of `net.Socket`), and has no way to ask for it on those that
 * a server accepts. So it is set here where `net.Socket` sets it. False: this Node keeps it elsewhere, or is none that
 * {@link isTestedNode} knows, and nothing was changed. `onRead` may give what it does not read to the stream, by `push` and as a copy.
 */
export function readDirectly(socket: Socket, onRead: DirectRead, node = process.versions.node): boolean {
  const place = isTestedNode(node) ? placeIn(socket) : undefined;
  if (place === undefined) return false;
  const buffer = (read ??= new WordBuffer(READ_BYTES));
  place.use(buffer.bytes);
  Reflect.set(socket, place.callback, (length: number) => onRead(buffer, length));
  Reflect.set(socket, place.buffer, buffer.bytes);
  return true;
}

interface Place {
  readonly buffer: symbol;
  readonly callback: symbol;
  readonly use: (buffer: Uint8Array) => void;
}

function placeIn(socket: Socket): Place | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  const use: unknown = typeof handle === 'object' && handle !== null && Reflect.get(handle, 'useUserBuffer');
  const buffer = emptyPlace(socket, 'kBuffer');
  const callback = emptyPlace(socket, 'kBufferCb');
  const next = emptyPlace(socket, 'kBufferGen');
  if (typeof use !== 'function' || buffer === undefined || callback === undefined || next === undefined)
    return undefined;
  return { buffer, callback, use: (bytes) => void Reflect.apply(use, handle, [bytes]) };
}

/** `undefined`: there is no such place, or something is in it. */
function emptyPlace(socket: Socket, name: string): symbol | undefined {
  const symbol = Object.getOwnPropertySymbols(socket).find(({ description }) => description === name);
  return symbol !== undefined && Reflect.get(socket, symbol) === null ? symbol : undefined;
}
