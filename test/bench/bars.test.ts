import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { judge, roundsOf, spreadOf, type Figure } from '../../bench/bars.ts';
import { barsPlot } from '../../bench/plot.ts';
import { bars } from '../../bench/registry.ts';
import { barResult, readResults, writeResults } from '../../bench/results.ts';
import { digits, figureLines } from '../../bench/table.ts';

const beside: Figure = {
  bar: 'hit-1k',
  requirement: 1,
  what: 'CPU a hit, 1 KB',
  rival: 'nginx',
  unit: 'µs',
  rounds: [
    { ours: 7, rival: 10 },
    { ours: 16, rival: 20 },
    { ours: 6, rival: 10 },
  ],
  limit: 0.75,
};
const pause: Figure = {
  bar: 'pauses',
  requirement: 5,
  what: 'longest wait',
  unit: 'ms',
  rounds: roundsOf([3, 21, 4]),
  limit: 20,
};

describe('the median of the rounds', () => {
  it('is the one in the middle, or the mean of the two there, whatever their order', () => {
    expect(spreadOf([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
    expect(spreadOf([4, 1, 2, 10])).toEqual({ median: 3, min: 1, max: 10 });
    expect(spreadOf([100, 20, 3])).toEqual({ median: 20, min: 3, max: 100 });
  });

  it('is no number where nothing was measured', () => {
    expect(spreadOf([])).toEqual({ median: Number.NaN, min: Number.NaN, max: Number.NaN });
  });
});

describe('a bar beside a rival', () => {
  it('is judged by the ratio of each round, not by the ratio of the medians', () => {
    const { value, ours, rival, verdict } = judge(beside);
    expect(value).toEqual({ median: 0.7, min: 0.6, max: 0.8 });
    expect([ours.median, rival?.median]).toEqual([7, 10]);
    expect(verdict).toBe('met');
  });

  it('is met at exactly its limit, and missed above it', () => {
    expect(judge({ ...beside, limit: 0.7 }).verdict).toBe('met');
    expect(judge({ ...beside, limit: 0.69 }).verdict).toBe('missed');
  });

  it('is missed where the rival was not measured', () => {
    expect(judge({ ...beside, rounds: roundsOf([1, 2]) }).verdict).toBe('missed');
    expect(judge({ ...beside, rounds: [] }).verdict).toBe('missed');
  });

  it('is told and not judged without a limit', () => {
    const { limit: _limit, ...told } = beside;
    expect(judge(told).verdict).toBe('told');
  });
});

describe('a bar that is a number', () => {
  it('is judged by its median, or by its worst round', () => {
    expect(judge(pause).verdict).toBe('met');
    expect(judge({ ...pause, judge: 'worst' }).verdict).toBe('missed');
  });

  it('can be one that must be reached', () => {
    const hits: Figure = { ...pause, unit: '%', rounds: roundsOf([97, 94, 99]), limit: 95, bound: 'least' };
    expect(judge(hits).verdict).toBe('met');
    expect(judge({ ...hits, judge: 'worst' }).verdict).toBe('missed');
    expect(judge({ ...hits, limit: 97.5 }).verdict).toBe('missed');
  });
});

describe('the table', () => {
  it('has a line for each figure with medians, ratio, range, limit and verdict', () => {
    const { limit: _limit, ...told } = pause;
    const [headings, rule, ...lines] = figureLines([beside, pause, told]);
    expect(headings).toMatch(/^bar +what +ours +rival +theirs +ratio +spread +limit$/);
    expect(rule).toMatch(/^-+( {2}-+)+/);
    expect(lines).toEqual([
      expect.stringMatching(/^hit-1k +CPU a hit, 1 KB +7\.00 µs +nginx +10\.0 µs +0\.70 +0\.60–0\.80 +≤ 0\.75 +met$/),
      expect.stringMatching(/^pauses +longest wait +4\.00 ms +3\.00–21\.0 +≤ 20 ms +met$/),
      expect.stringMatching(/^pauses +longest wait +4\.00 ms +3\.00–21\.0$/),
    ]);
  });

  it('writes two or three figures that count', () => {
    expect([0, 0.001234, 0.1234, 1.234, 12.34, 123.4, 123_456, Number.NaN].map(digits)).toEqual([
      '0.00',
      '0.0012',
      '0.12',
      '1.23',
      '12.3',
      '123',
      '123456',
      '-',
    ]);
  });
});

describe('the plot', () => {
  const svg = barsPlot([beside, { ...pause, judge: 'worst', what: 'longest <wait> & more' }]);

  it('draws each judged figure as a share of its limit, met and missed in colours of their own', () => {
    const widths = [...svg.matchAll(/<rect class="(met|missed)" x="390" y="\d+" width="(\d+)"/g)];
    expect(widths.map(([, verdict]) => verdict)).toEqual(['met', 'missed']);
    // 450 units are 1.6 limits; 0.7 of 0.75, and 21 of 20.
    expect(widths.map(([, , width]) => Number(width))).toEqual([
      Math.round(390 + (0.7 / 0.75 / 1.6) * 450) - 390,
      Math.round(390 + (21 / 20 / 1.6) * 450) - 390,
    ]);
    expect(svg).toContain('0.70 of nginx (at most 0.75)');
  });

  it('is well-formed, with its text escaped, and needs nothing from elsewhere', () => {
    expect(svg).toContain('longest &lt;wait&gt; &amp; more');
    expect(svg).not.toMatch(/<script|href|url\(|@import/);
    const opened = [...svg.matchAll(/<(\w+)(?:\s[^>]*)?(?<!\/)>/g)].map(([, name = '']) => name);
    const closed = [...svg.matchAll(/<\/(\w+)>/g)].map(([, name = '']) => name);
    expect(new Set(closed)).toEqual(new Set(['svg', 'title', 'style', 'text']));
    expect(opened.length).toBe(closed.length);
  });

  it('cuts off what misses its bar by far, and leaves out what has none', () => {
    const { limit: _limit, ...told } = beside;
    const far = barsPlot([{ ...pause, rounds: roundsOf([9000]) }, told]);
    expect([...far.matchAll(/<rect class="(?:met|missed)"[^>]* width="(\d+)"/g)].map(([, width]) => width)).toEqual([
      '450',
    ]);
  });
});

describe('results', () => {
  it('are written as JSON and plot, and read back: what is measured anew replaces its bar alone', () => {
    const folder = mkdtempSync(join(tmpdir(), 'forecache-results-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    expect(readResults(folder)).toEqual({});
    const options = { rounds: 3, seconds: 1, cores: { server: 0, load: 1 }, say: () => {} };
    const first = { hit: barResult('a hit', [beside], options), pauses: barResult('pauses', [pause], options) };
    writeResults(folder, first);
    const read = readResults(folder);
    expect(Object.keys(read)).toEqual(['hit', 'pauses']);
    expect(read['hit']).toMatchObject({
      title: 'a hit',
      rounds: 3,
      figures: [{ ...beside, judged: { verdict: 'met', value: { median: 0.7 } } }],
    });
    writeResults(folder, { ...read, hit: barResult('a hit', [{ ...beside, limit: 0.5 }], options) });
    const again = readResults(folder);
    expect(again['pauses']).toEqual(read['pauses']);
    expect(again['hit']).toMatchObject({ figures: [{ limit: 0.5, judged: { verdict: 'missed' } }] });
    expect(readFileSync(join(folder, 'bars.svg'), 'utf8')).toMatch(/^<svg .*<\/svg>\n$/s);
  });
});

it('each bar has a name of its own', () => {
  const names = bars.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toContain('hit-1k');
});
