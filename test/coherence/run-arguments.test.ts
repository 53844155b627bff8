import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

import { parseRun, UsageError } from './run-arguments.ts';

const parse = (line: string) => parseRun(line.split(' ').filter(Boolean), 7);

describe('the command line of a run', () => {
  it('has a usual value for everything', () => {
    expect(parse('')).toEqual({
      mode: 'standalone',
      seed: 7,
      seconds: 60,
      sidecars: 4,
      workers: 1,
      clientsEach: 4,
      leaseMs: 1_000,
      thinkMs: 40,
      purgePauseMs: 300,
      rules: {},
      altered: [],
    });
  });

  it('has one sidecar without Redis', () => {
    expect(parse('--mode alone')).toMatchObject({ sidecars: 1 });
  });

  it('takes faults and rules by name', () => {
    expect(
      parse('--mode cluster --faults cut,owner-kill --without lease,searchTag,barrier --seconds 0.5'),
    ).toMatchObject({
      faults: ['cut', 'owner-kill'],
      rules: { lease: false, barrier: false },
      altered: ['searchTag'],
      seconds: 0.5,
    });
    expect(parse('--faults none')).toMatchObject({ faults: [] });
  });

  it('asks for help', () => {
    expect(parse('--help')).toBeUndefined();
  });

  it.each([
    ['--mode moon', /--mode knows no 'moon', only alone, standalone, sentinel, cluster/],
    ['--without lease,leese', /--without knows no 'leese', only earlyPosition,/],
    ['--without toString', /--without knows no 'toString'/],
    ['--faults cut,cutt', /--faults knows no 'cutt', only pause-up,/],
    ['--faults master-kill', /--faults knows no 'master-kill'/],
    ['--faults ,', /--faults names no fault/],
    ['--mode alone --sidecars 2', /--mode alone has one sidecar/],
    ['--seconds soon', /--seconds is a number, not 'soon'/],
    ['--seconds 0', /--seconds is more than 0/],
    ['--seconds 1000001', /--seconds is more than 0, at most 1000000/],
    ['--seconds=-5', /--seconds is a number, not '-5'/],
    ['--seconds Infinity', /--seconds is a number/],
    ['--seed NaN', /--seed is a number/],
    ['--seed=', /--seed is a number, not ''/],
    ['--seed 1.5', /--seed is a whole number from 0/],
    ['--sidecars 0', /--sidecars is a whole number from 1 to 100, not 0/],
    ['--clients 0', /--clients is a whole number from 1/],
    ['--lease 199', /--lease is a whole number from 200 to 60000, not 199/],
    ['--lease 60001', /--lease is a whole number from 200 to 60000, not 60001/],
    ['--think 1e3', /--think is a number/],
    ['--purge-pause 0x10', /--purge-pause is a number/],
    ['--colour red', /Unknown option '--colour'/],
    ['now', /Unexpected argument 'now'/],
  ])('is refused where it says %s', (line, message) => {
    expect(() => parse(line)).toThrow(UsageError);
    expect(() => parse(line)).toThrow(message);
  });
});

const run = (...args: readonly string[]) =>
  new Promise<{ readonly code: unknown; readonly stdout: string; readonly stderr: string }>((resolve) => {
    const program = fileURLToPath(new URL('run.ts', import.meta.url));
    execFile(process.execPath, [program, ...args], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr });
    });
  });

describe('the program', () => {
  it('ends with 64, the reason and the usage where its command line is wrong', async () => {
    const { code, stdout, stderr } = await run('--faults', 'flood');
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' });
    expect(stderr).toMatch(/^--faults knows no 'flood'[^]*\nnode test\/coherence\/run\.ts \[--mode/);
  });

  it('ends after its summary, with 1 where a run proves nothing', { timeout: 60_000 }, async () => {
    // No purger's first pause, by this seed, ends within the run: otherwise chance may complete all that are needed.
    const rare = ['--seed', '1', '--purge-pause', '60000'];
    const { code, stdout, stderr } = await run('--mode', 'alone', '--seconds', '0.5', '--faults', 'none', ...rare);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(stdout).toMatch(/violations {2}0\nvacuous:\n.*completed purges: 0, but at least 5 are needed/s);
  });
});
