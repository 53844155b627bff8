import { assert, nat, property } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { didYouMean, nearest } from '../../src/config/suggest.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/config/units.ts';
import {
  fieldNameProblem,
  isLoopback,
  parseListen,
  parseOrigin,
  parseRouteHost,
  zoneProblem,
} from '../../src/config/words.ts';

const all = { min: 0, max: Number.MAX_SAFE_INTEGER };

describe('durations and sizes', () => {
  test.each([
    ['0', 0],
    ['500ms', 500],
    ['30s', 30_000],
    ['10m', 600_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
  ])('reads %s', (text, ms) => {
    expect(parseDuration(text, all)).toEqual({ ok: true, value: ms });
  });

  test.each([
    ['0', 0],
    ['512', 512],
    ['512B', 512],
    ['64KiB', 65_536],
    ['256MiB', 268_435_456],
    ['2GiB', 2_147_483_648],
  ])('reads %s', (text, bytes) => {
    expect(parseSize(text, all)).toEqual({ ok: true, value: bytes });
  });

  test.each([
    '',
    ' 1s',
    '1s ',
    '1 s',
    '1',
    '-1s',
    '+1s',
    '1.5h',
    '1e3s',
    '1S',
    '1w',
    '1h30m',
    '١s',
    '9'.repeat(20) + 's',
  ])('refuses the duration %j', (text) => {
    expect(parseDuration(text, all).ok).toBe(false);
  });

  test.each(['', '1KB', '1kib', '1 KiB', '-1', '1.5MiB', '1MiBs', '0x10'])('refuses the size %j', (text) => {
    expect(parseSize(text, all).ok).toBe(false);
  });

  test('reads what it writes', () => {
    assert(
      property(nat(2 ** 31), (value) => {
        expect(parseDuration(formatDuration(value), all)).toEqual({ ok: true, value });
        expect(parseSize(formatSize(value), all)).toEqual({ ok: true, value });
      }),
      { seed: 3 },
    );
  });

  test('says its limits in its own spelling, at the edge and not before', () => {
    const bounds = { min: 1000, max: 3_600_000 };
    expect(parseDuration('1h', bounds).ok).toBe(true);
    expect(parseDuration('3600001ms', bounds)).toEqual({ ok: false, error: 'is at most 1h, given "3600001ms"' });
    expect(parseDuration('1s', bounds).ok).toBe(true);
    expect(parseDuration('999ms', bounds)).toEqual({ ok: false, error: 'is at least 1s, given "999ms"' });
  });
});

describe('suggestions', () => {
  test.each([
    ['listn', 'listen'],
    ['LISTEN', 'listen'],
    ['lsiten', 'listen'],
    ['tll', 'ttl'],
    ['zebra', undefined],
    ['x'.repeat(100), undefined],
  ])('for %s is %s', (given, word) => {
    expect(nearest(given, ['listen', 'listeners', 'ttl'])).toBe(word);
  });

  test('list what is valid where nothing is near, at most twelve words', () => {
    const many = Array.from({ length: 14 }, (_, index) => `word${index}`);
    expect(didYouMean('zebra', [])).toBe('');
    expect(didYouMean('zebra', ['a', 'b'])).toBe('; valid: a, b');
    expect(didYouMean('zebra', many)).toMatch(/word11, and 2 more$/);
  });
});

describe('words', () => {
  test('an origin is normalised and never shows a password', () => {
    expect(parseOrigin('HTTPS://API.test:443')).toEqual({ ok: true, value: 'https://api.test' });
    expect(parseOrigin('http://[::1]:80/')).toEqual({ ok: true, value: 'http://[::1]' });
    for (const text of ['http://u:hunter2@x', 'u:hunter2@x', '//u:hunter2@x', 'http://@hunter2']) {
      expect(JSON.stringify(parseOrigin(text))).not.toContain('hunter2');
      expect(parseOrigin(text).ok).toBe(false);
    }
  });

  test('loopback is told from the rest', () => {
    expect(['127.0.0.1', '127.9.9.9', '::1', 'localhost'].map(isLoopback)).toEqual([true, true, true, true]);
    expect(['0.0.0.0', '::', '128.0.0.1', '127.evil.test', 'localhost.test'].map(isLoopback)).toEqual(
      Array.from({ length: 5 }, () => false),
    );
  });

  test('listen addresses hold a host and a port', () => {
    expect(parseListen('[::1]:0')).toEqual({ ok: true, value: { host: '::1', port: 0 } });
    expect(parseListen('proxy.internal:65535')).toEqual({ ok: true, value: { host: 'proxy.internal', port: 65_535 } });
    expect(parseListen('127.0.0.1:65536').ok).toBe(false);
  });

  test('hosts of routes are lower-cased and have no port', () => {
    expect(parseRouteHost('API.Test')).toEqual({ ok: true, value: 'api.test' });
    expect(parseRouteHost('[::1]')).toEqual({ ok: true, value: '[::1]' });
    for (const host of ['a:80', 'a b', 'a/b', '-a', '', '[x]', 'a..', 'a@b'])
      expect(parseRouteHost(host).ok).toBe(false);
  });

  test('zones are those of the IANA database', () => {
    expect(['UTC', 'Europe/Berlin', 'America/Argentina/Buenos_Aires'].map(zoneProblem)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    for (const zone of ['', 'Mars/Base', '+02:00', 'Europe/Berlinn'])
      expect(zoneProblem(zone)).toContain('is no IANA time zone');
  });

  test('field names are tokens that no hop owns', () => {
    expect(['x-key', 'Accept', '!'].map(fieldNameProblem)).toEqual([undefined, undefined, undefined]);
    for (const name of ['', 'a b', 'a:b', 'é', 'a\r\nb', 'Transfer-Encoding', 'HOST', 'content-length']) {
      expect(fieldNameProblem(name)).toBeDefined();
    }
  });
});
