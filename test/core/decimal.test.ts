import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareDecimals, formatDecimal, parseDecimal, roundDecimal, type Decimal } from '../../src/core/decimal.ts';

function parsed(text: string): Decimal {
  const decimal = parseDecimal(text);
  if (decimal === undefined) throw new Error(text);
  return decimal;
}

function canonical(text: string, places?: number): string {
  const decimal = parsed(text);
  return formatDecimal(places === undefined ? decimal : roundDecimal(decimal, places));
}

describe('a decimal', () => {
  test.for([
    ['52.520', '52.52'],
    ['+52.52', '52.52'],
    ['0052.52', '52.52'],
    ['-0', '0'],
    ['-0.000', '0'],
    ['.5', '0.5'],
    ['-.5', '-0.5'],
    ['5.', '5'],
    ['1e3', '1000'],
    ['1.25E+1', '12.5'],
    ['1e-5', '0.00001'],
    ['-12.5e-3', '-0.0125'],
    ['0e400', '0'],
    ['5252e-2', '52.52'],
    ['90.00000000000000000001', '90.00000000000000000001'],
  ] as const)('%s is written %s', ([text, expected]) => {
    expect(canonical(text)).toBe(expected);
  });

  test.for([
    '',
    '.',
    '+',
    '-',
    'e1',
    '1e',
    '1e401',
    '1e99999',
    '0x10',
    '1,5',
    'NaN',
    'Infinity',
    '1 2',
    '１',
    '−1',
    '1_000',
  ])('%j is none', (text) => {
    expect(parseDecimal(text)).toBeUndefined();
  });

  test('longer than a hundred characters is none', () => {
    expect(parseDecimal('1'.repeat(100))).toBeDefined();
    expect(parseDecimal('1'.repeat(101))).toBeUndefined();
  });

  test.for([
    ['0.125', 2, '0.13'],
    ['-0.125', 2, '-0.13'],
    ['0.135', 2, '0.14'],
    ['1.005', 2, '1.01'],
    ['2.675', 2, '2.68'],
    ['0.1249999999999999999999999', 2, '0.12'],
    ['9.995', 2, '10'],
    ['99.5', 0, '100'],
    ['-0.004', 2, '0'],
    ['52.52', 4, '52.52'],
    ['-179.995', 2, '-180'],
  ] as const)('%s to %d places is %s, half away from zero', ([text, places, expected]) => {
    expect(canonical(text, places)).toBe(expected);
  });

  test('rounds as whole numbers do', () => {
    const scaled = fc.bigInt({ min: -(10n ** 25n), max: 10n ** 25n });
    fc.assert(
      fc.property(scaled, fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 12 }), (value, scale, places) => {
        const magnitude = value < 0n ? -value : value;
        const digits = magnitude.toString().padStart(scale + 1, '0');
        const point = digits.length - scale;
        const text = `${value < 0n ? '-' : ''}${digits.slice(0, point)}.${digits.slice(point)}`;
        const drop = 10n ** BigInt(Math.max(0, scale - places));
        const rounded = (magnitude + drop / 2n) / drop;
        const sign = value < 0n && rounded > 0n ? '-' : '';
        const back = canonical(text, places);
        const kept = Math.min(scale, places);
        const [whole = '', fraction = ''] = back.replace('-', '').split('.');
        expect(BigInt(whole + fraction.padEnd(kept, '0'))).toBe(rounded);
        expect(back.startsWith('-') ? '-' : '').toBe(sign);
        expect(canonical(back, places)).toBe(back);
      }),
      { seed: 2, numRuns: 3000 },
    );
  });

  test('compares exactly where doubles cannot', () => {
    expect(compareDecimals(parsed('90.00000000000000000001'), parsed('90'))).toBeGreaterThan(0);
    expect(compareDecimals(parsed('-90.00000000000000000001'), parsed('-90'))).toBeLessThan(0);
    expect(compareDecimals(parsed('9'), parsed('10'))).toBeLessThan(0);
    expect(compareDecimals(parsed('-1'), parsed('0'))).toBeLessThan(0);
    expect(compareDecimals(parsed('1'), parsed('-2'))).toBeGreaterThan(0);
    expect(compareDecimals(parsed('0.5'), parsed('0.50'))).toBe(0);
    expect(compareDecimals(parsed('0.45'), parsed('0.5'))).toBeLessThan(0);
  });
});
