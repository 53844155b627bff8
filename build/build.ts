import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { rolldown, type OutputChunk } from 'rolldown';
import { compileAhead } from './compile-ahead.ts';
import { inventory, licences, packagesOf } from './packages.ts';
import { undiciForCalls } from './undici.ts';

/**
 * Makes `dist` (docs/decisions/0016-one-bundle.md): the program and the packages that it uses, in few CommonJS files that are
 * read when they are needed, what it says of those packages, and its functions as V8 compiles them.
 *
 *   node build/build.ts [--over]
 *
 * --over leaves the files of the last build, which a running program may still read from.
 */
const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');

/** By its path in `dist`, what somebody starts: a user, a container, the program its threads. */
const entries = {
  main: 'src/main.ts',
  worker: 'src/workers/worker.ts',
  healthcheck: 'src/healthcheck.ts',
  'demo/demo': 'src/demo/demo.ts',
  'demo/simulators': 'src/demo/simulators.ts',
};

const { values } = parseArgs({ options: { over: { type: 'boolean', default: false } } });
if (!values.over) rmSync(dist, { recursive: true, force: true });
// Functions of another build fit nothing any more.
rmSync(join(dist, 'compiled'), { recursive: true, force: true });
mkdirSync(dist, { recursive: true });
const chunks = await bundle();
const packages = packagesOf(chunks.flatMap((chunk) => chunk.moduleIds));
// `npm exec` links to it, and makes it one that can be run only when it makes the link: not after the next build.
chmodSync(join(dist, 'main.js'), 0o755);
// CommonJS: `import … from 'node:http'` would run the getters of all that it exports, and so load fetch and WebSocket.
writeFileSync(join(dist, 'package.json'), '{ "type": "commonjs" }\n');
writeFileSync(join(dist, 'third-party-licences.txt'), licences(packages));
writeFileSync(join(dist, 'forecache.cdx.json'), inventory(root, packages));
await compileAhead(dist);

async function bundle(): Promise<readonly OutputChunk[]> {
  const imports = new Map<string, readonly string[]>();
  const build = await rolldown({
    cwd: root,
    input: entries,
    platform: 'node',
    plugins: [
      undiciForCalls(),
      { name: 'ascii', renderChunk: (code) => ascii(code) },
      {
        name: 'imports',
        buildEnd() {
          for (const id of this.getModuleIds()) imports.set(id, this.getModuleInfo(id)?.importedIds ?? []);
        },
      },
    ],
    onLog: (level, log, report) => {
      // `debug` asks for it in a try: colours, where they are installed.
      if (log.code === 'UNRESOLVED_IMPORT' && log.message.includes('supports-color')) return;
      if (level === 'warn') throw new Error(log.message);
      report(level, log);
    },
  });
  let known: ReturnType<typeof served> | undefined;
  const isIn = (name: 'common' | 'serving', id: string): boolean => (known ??= served(imports))[name].has(id);
  const { output } = await build.write({
    dir: dist,
    format: 'cjs',
    // As it was written but for comments: a stack trace names functions that a reader finds in `src`.
    minify: false,
    comments: false,
    chunkFileNames: '[name]-[hash].js',
    // Else they are parts of main.js, which no other file may read: that would start the program.
    codeSplitting: {
      groups: [
        // All that main.js reads before V8 is told to keep the start small: with a second file V8 optimises Node's way to load one.
        { name: 'start', test: /rolldown\/runtime|src\/(compiled-code|lean|stop-signal)\.ts$/ },
        // Apart: `purge` and its like do not read all that serving takes.
        { name: 'common', test: (id) => isIn('common', id) },
        // One file for all that a request runs through: a call into another one goes through a getter.
        { name: 'serving', test: (id) => isIn('serving', id) },
      ],
    },
  });
  await build.close();
  const found = output.filter((file) => file.type === 'chunk');
  for (const { fileName, imports: read } of found) {
    const started = read.find((name) => Object.keys(entries).some((entry) => name === `${entry}.js`));
    if (started !== undefined) throw new Error(`${fileName} would start ${started}`);
  }
  return found;
}

/** What a start reads to serve: what other commands read as well, and the rest. */
function served(
  imports: ReadonlyMap<string, readonly string[]>,
): Readonly<Record<'common' | 'serving', ReadonlySet<string>>> {
  const from = (path: string): ReadonlySet<string> => {
    const found = new Set([join(root, path)]);
    // What is added while a set is walked is walked too.
    for (const id of found) for (const one of imports.get(id) ?? []) found.add(one);
    return found;
  };
  const serving = from('src/app.ts');
  const commands = from('src/run.ts').union(from('src/cli/program.ts'));
  return { common: serving.intersection(commands), serving: serving.difference(commands) };
}

/** V8 keeps a file with a single letter beyond Latin-1 at two bytes a letter. */
function ascii(code: string): string {
  return code.replace(/[\u0080-\uFFFF]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
