/** What `node:http` tells clients, in milliseconds: a little less, so that they do not send just when a connection closes. */
export function toldKeepAliveMs(keepAliveMs: number): number {
  return keepAliveMs - keepAliveReserveMs(keepAliveMs);
}

/** How much longer a connection is kept than its client was told. */
export function keepAliveReserveMs(keepAliveMs: number): number {
  return Math.floor(Math.min(1_000, keepAliveMs / 2));
}
