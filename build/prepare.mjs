import { existsSync } from 'node:fs';

// `npm ci --omit=dev` leaves away what builds, and whoever asks for that has a build or wants none. Any Node can read this.
if (existsSync(new URL('../node_modules/rolldown', import.meta.url))) await import('./build.ts');
else process.stderr.write('rolldown is not installed: dist stays as it is\n');
