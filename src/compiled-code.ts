// Kept to syntax that any Node since 18 can read, like main.ts.
import { enableCompileCache } from 'node:module';

/**
 * Takes what V8 compiles with the load of the program's files as it was compiled when the program was built (`build.ts`), which
 * halves what a start costs beside the bare Node. Node finds out by itself whether they fit: it takes them for its own version and processor
 * alone, and for files that have not changed since; where they do not, and where the directory cannot be read
 * or written, the start is slower and nothing else. Run from source there are none.
 */
export function useCompiledCode(): void {
  if (import.meta.filename.endsWith('.ts')) return;
  // An object is no argument before 24.12: thrown at. The functions fit the Node of the build alone anyway.
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major === 24 && minor < 12) return;
  // Portable: found by name, so that the build may be copied elsewhere, into an image say.
  enableCompileCache({ directory: `${import.meta.dirname}/compiled`, portable: true });
}
