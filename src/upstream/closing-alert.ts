import type { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';

import { describe, type NamedFailure } from './failure.ts';

/** How the other side's end was told, the first time, of connections with TLS. */
const ends = new WeakMap<object, 'alert' | 'bare'>();
const known = new WeakSet<object>();

/**
 * Has a connection with TLS remember whether the other side closed it with an alert (`close_notify`, RFC 8446 §6.1). `node:tls` tells an
 * end without one, which anybody on the way can make, as the same end in order.
 */
export function watchClosingAlert(socket: Socket | null): void {
  if (socket === null || !('encrypted' in socket) || known.has(socket)) return;
  known.add(socket);
  const push = socket.push.bind(socket);
  let tells: boolean | undefined;
  socket.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
    if (chunk === null) {
      const end = tells === true && !ends.has(socket) ? endOf(socket) : undefined;
      if (end !== undefined) ends.set(socket, end);
    } else {
      // Its first bytes are being read: a handle that does not say so would call each end a bare one.
      tells ??= isReading(socket) === true;
    }
    return push(chunk, encoding);
  };
}

/**
 * How content that ends with its connection was cut, which is how that has ended; `undefined`: it is all there. With TLS it is so only
 * behind an alert (RFC 9112 §9.8), and behind one whatever broke then.
 *
 * @param isBroken an error ended the connection
 */
export function cutOf(socket: object | undefined, isBroken: boolean): NamedFailure | undefined {
  const end = socket && ends.get(socket);
  if (end === 'alert') return undefined;
  if (isBroken) return describe('reset');
  return end === 'bare' ? describe('truncated', 'no close_notify') : undefined;
}

/**
 * Asked while the end is told. An alert comes among bytes, and libuv goes on reading behind them; at the end of the connection itself it
 * has stopped. Who stopped before has heard no such end.
 */
function endOf(socket: object): 'alert' | 'bare' | undefined {
  const secure = part(socket, '_handle');
  if (secure !== undefined && Reflect.get(secure, 'reading') === false) return 'alert';
  const goesOn = isReading(socket);
  if (goesOn === undefined) return undefined;
  if (goesOn) return 'alert';
  const plain = secure && part(secure, '_parent');
  const stop: unknown = plain && Reflect.get(plain, 'readStop');
  if (typeof stop === 'function') Reflect.apply(stop, plain, []);
  return 'bare';
}

/** Whether libuv was reading from the connection below; it is then. `undefined`: this Node has no such parts, or they answer otherwise. */
function isReading(socket: object): boolean | undefined {
  const secure = part(socket, '_handle');
  const plain = secure && part(secure, '_parent');
  const start: unknown = plain && Reflect.get(plain, 'readStart');
  if (typeof start !== 'function') return undefined;
  const started: unknown = Reflect.apply(start, plain, []);
  if (started === 0) return false;
  return typeof started === 'number' && started < 0 && getSystemErrorName(started) === 'EALREADY' ? true : undefined;
}

function part(whole: object, name: string): object | undefined {
  const found: unknown = Reflect.get(whole, name);
  return typeof found === 'object' && found !== null ? found : undefined;
}
