import type { UpstreamConfig } from '../../src/core/config.ts';

/** An upstream's configuration with short, generous-enough limits; `origin` is a scripted origin's address. */
export function upstreamConfig(origin: string, changes: Partial<UpstreamConfig> = {}): UpstreamConfig {
  return {
    name: 'api',
    origin,
    connectTimeoutMs: 2000,
    headersTimeoutMs: 5000,
    bodyTimeoutMs: 5000,
    totalTimeoutMs: 10_000,
    maxConnections: 8,
    maxHeaderBytes: 16 * 1024,
    maxBodyBytes: 8 * 1024 * 1024,
    acceptEncoding: 'gzip',
    framing: 'strict',
    credentials: { query: new Map(), headers: new Map() },
    fields: new Map(),
    caFile: undefined,
    ...changes,
  };
}
