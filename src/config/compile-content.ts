import type { ContentRules } from '../core/route.ts';
import type { Compilation } from './compilation.ts';
import { unlessRefused } from './refused.ts';
import type { RouteInput } from './schema-routes.ts';
import { isWritten, type Path } from './source.ts';
import { formatSize } from './units.ts';

const limits = ['maxBodyBytes', 'maxContentBytes'] as const;

/** Content that the listener refuses first would never be keyed: the default gives way to it, what was written down does not. */
export function compileContent(compilation: Compilation, path: Path, input: RouteInput): ContentRules | undefined {
  if (input.content === undefined) return undefined;
  unlessRefused(() => checkSize(compilation, [...path, 'maxBytes'], input.content?.maxBytes ?? 0));
  const { methods, as, maxBytes } = input.content;
  return { methods: [...new Set(methods)], as, maxBytes: keyedBytes(compilation, maxBytes) };
}

/** As many bytes of a route's content as the listener lets through. */
export function keyedBytes(compilation: Compilation, maxBytes: number): number {
  return Math.min(maxBytes, ...limits.map((option) => mostOf(compilation, option)));
}

function mostOf({ input }: Compilation, option: (typeof limits)[number]): number {
  return unlessRefused(() => input.server.limits[option]) ?? Infinity;
}

function checkSize(compilation: Compilation, path: Path, maxBytes: number): void {
  for (const option of limits) {
    const most = mostOf(compilation, option);
    if (maxBytes <= most || !isWritten(compilation.root, path)) continue;
    const message = `is larger than the listener takes (server.limits.${option} is ${formatSize(most)})`;
    compilation.issues.add(path, message);
  }
}
