import type { RedisConfig } from '../../core/config.ts';
import type { StoredItem, StoredResponse } from '../../core/stored-response.ts';
import { maxExpansion, type StoredBody } from './codec.ts';
import { compressed } from './compress.ts';

type PackConfig = Pick<RedisConfig, 'maxObjectBytes' | 'compressAboveBytes'>;

/** False for what is too large whatever compressing makes of it. */
export function mayBePacked(item: StoredItem, config: PackConfig): boolean {
  if (item.kind === 'vary') return true;
  const { maxObjectBytes } = config;
  const { byteLength } = item.body;
  return byteLength <= maxObjectBytes || (isCompressible(item, config) && byteLength <= maxObjectBytes * maxExpansion);
}

/** The body as it is stored; a promise only where a large one is compressed. */
export function packBody(item: StoredItem, config: PackConfig): StoredBody | Promise<StoredBody> {
  if (item.kind === 'vary') return { bytes: Buffer.alloc(0), isCompressed: false };
  const asIs = { bytes: item.body, isCompressed: false };
  if (!isCompressible(item, config)) return asIs;
  const coded = compressed(item.body);
  const packed = (bytes: Buffer | undefined): StoredBody =>
    bytes === undefined ? asIs : { bytes, isCompressed: true };
  return coded instanceof Promise ? coded.then(packed) : packed(coded);
}

/** A coding of upstream's own stays as it is. */
function isCompressible(item: StoredResponse, { compressAboveBytes }: PackConfig): boolean {
  if (compressAboveBytes === undefined || item.body.byteLength < compressAboveBytes) return false;
  return !item.fields.some(([name, value]) => name === 'content-encoding' && value.toLowerCase() !== 'identity');
}
