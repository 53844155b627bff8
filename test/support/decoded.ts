import { type DecodedOptions, DecodedContents } from '../../src/cache/decoded-contents.ts';
import { createContentDecoder } from '../../src/upstream/decode.ts';

/** As the program has them, with room for whatever a test asks for. */
export function decodedContents(options: Partial<DecodedOptions> = {}): DecodedContents {
  return new DecodedContents({
    decoder: createContentDecoder(),
    maxBytes: Number.POSITIVE_INFINITY,
    observer: { limit: () => {} },
    ...options,
  });
}
