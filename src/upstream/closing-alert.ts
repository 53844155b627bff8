import type { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';

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
  socket.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
    if (chunk === null && !ends.has(socket)) {
      const end = endOf(socket);
      if (end !== undefined) ends.set(socket, end);
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
export function cutOf(socket: object | undefined, isBroken: boolean): 'reset' | 'truncated' | undefined {
  const end = socket && ends.get(socket);
  if (end === 'alert') return undefined;
  if (isBroken) return 'reset';
  return end === 'bare' ? 'truncated' : undefined;
}

/**
 * Asked while the end is told. An alert comes among bytes, and libuv goes on reading behind them; at the end of the connection itself it
 * has stopped. Who stopped before has heard no such end. `undefined`: this Node has no such parts, and nothing is known.
 */
function endOf(socket: object): 'alert' | 'bare' | undefined {
  const secure = part(socket, '_handle');
  const plain = secure && part(secure, '_parent');
  const start: unknown = plain && Reflect.get(plain, 'readStart');
  const stop: unknown = plain && Reflect.get(plain, 'readStop');
  if (secure === undefined || typeof start !== 'function' || typeof stop !== 'function') return undefined;
  if (Reflect.get(secure, 'reading') === false) return 'alert';
  const started: unknown = Reflect.apply(start, plain, []);
  if (started === 0) {
    Reflect.apply(stop, plain, []);
    return 'bare';
  }
  return typeof started === 'number' && getSystemErrorName(started) === 'EALREADY' ? 'alert' : undefined;
}

function part(whole: object, name: string): object | undefined {
  const found: unknown = Reflect.get(whole, name);
  return typeof found === 'object' && found !== null ? found : undefined;
}
