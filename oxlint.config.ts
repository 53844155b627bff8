import { defineConfig } from 'oxlint';

/** Which folder may import which: the architecture, checked. Each folder may also import itself. */
const mayImport: Record<string, readonly string[]> = {
  core: [],
  cache: ['core'],
  store: ['core', 'cache'],
  upstream: ['core', 'cache'],
  metrics: ['core', 'cache'],
  config: ['core'],
  server: ['core', 'cache'],
  admin: ['core', 'cache', 'metrics'],
  log: ['core', 'cache'],
  cli: ['core', 'config'],
  demo: ['core', 'config'],
  workers: ['core', 'cache', 'store', 'metrics', 'server', 'admin', 'log'],
};

/** Each package has one owner file (valibot: the schema's files; ioredis: the client's), so replacing it is a small, known change. */
const packageOwner: Record<string, string> = {
  undici: 'src/upstream/connection.ts',
  'http-proxy-3': 'src/upstream/relay.ts',
  'json-p3': 'src/upstream/body-check.ts',
  yaml: 'src/config/load.ts',
  valibot: 'src/config/schema*.ts',
  'fastest-levenshtein': 'src/config/suggest.ts',
  'prom-client': 'src/metrics/prometheus.ts',
  pino: 'src/log/log.ts',
  croner: 'src/cron.ts',
  commander: 'src/cli/program.ts',
  ioredis: 'src/store/redis/client*.ts',
  'structured-headers': 'src/core/structured-field.ts',
  graphql: 'src/core/graphql-text.ts',
};

const folders = Object.keys(mayImport);

type Restriction = { paths: { name: string; message: string }[]; patterns: { regex: string; message: string }[] };

function restrictedImports(folder: string, owned?: string): ['error', Restriction] {
  const allowed = [folder, ...(mayImport[folder] ?? [])];
  const banned = folders.filter((name) => !allowed.includes(name));
  const pure = folder === 'core' || folder === 'cache';
  return [
    'error',
    {
      paths: Object.entries(packageOwner)
        .filter(([name]) => name !== owned)
        .map(([name, owner]) => ({ name, message: `only ${owner} imports ${name}` })),
      patterns: [
        { regex: `^(\\.\\./)+(${banned.join('|')})/`, message: `${folder}/ imports only ${allowed.join('/, ')}/` },
        ...(folder === 'cli'
          ? []
          : [{ regex: '^(\\.\\./)+(app|main)\\.ts$', message: 'only cli/ and main.ts import app.ts' }]),
        ...(pure
          ? [
              {
                regex: owned === undefined ? '^[^.]' : '^node:',
                message: `${folder}/ imports no package and no node: module`,
              },
            ]
          : []),
      ],
    },
  ];
}

export default defineConfig({
  plugins: ['typescript', 'unicorn', 'oxc', 'import', 'node', 'promise', 'vitest'],
  categories: { correctness: 'error', suspicious: 'error' },
  ignorePatterns: ['dist'],
  rules: {
    'import/no-cycle': 'error',
    'import/no-default-export': 'error',
    'oxc/no-barrel-file': 'error',
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/switch-exhaustiveness-check': 'error',
    'typescript/only-throw-error': 'error',
    'typescript/no-explicit-any': 'error',
    'typescript/no-non-null-assertion': 'error',
    'typescript/consistent-type-imports': 'error',
    // Reports exhaustive switches that tsc's noImplicitReturns accepts.
    'typescript/consistent-return': 'off',
    'max-lines': ['error', { max: 250, skipBlankLines: true, skipComments: true }],
    'max-lines-per-function': ['error', { max: 60, skipBlankLines: true, skipComments: true }],
    'max-params': ['error', 4],
    complexity: ['error', 12],
    'unicorn/filename-case': ['error', { case: 'kebabCase' }],
    'unicorn/prefer-node-protocol': 'error',
    // For windows of a browser: threads and processes have no origin.
    'unicorn/require-post-message-target-origin': 'off',
  },
  overrides: [
    ...folders.map((folder) => ({
      files: [`src/${folder}/**`],
      rules: { 'no-restricted-imports': restrictedImports(folder) },
    })),
    ...Object.entries(packageOwner).map(([name, file]) => ({
      files: [file],
      rules: { 'no-restricted-imports': restrictedImports(file.split('/')[1] ?? '', name) },
    })),
    {
      files: ['src/core/**', 'src/cache/**'],
      rules: {
        'no-restricted-globals': ['error', 'setTimeout', 'setInterval', 'fetch', 'process', 'console', 'performance'],
        'no-restricted-properties': [
          'error',
          { object: 'Date', property: 'now', message: 'take `now` as a parameter, or use the Clock port' },
          { object: 'Math', property: 'random', message: 'take the number as a parameter' },
        ],
      },
    },
    { files: ['test/**', 'bench/**'], rules: { 'max-lines': 'off', 'max-lines-per-function': 'off' } },
    { files: ['oxlint.config.ts', 'test/vitest.config.ts'], rules: { 'import/no-default-export': 'off' } },
  ],
});
