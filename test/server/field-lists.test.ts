import { describe, expect, it } from 'vitest';

import { special } from '../../src/core/special-fields.ts';
import { type FieldList, FieldLists } from '../../src/server/field-lists.ts';

function read(lists: FieldLists, raw: readonly string[]): FieldList {
  return lists.read(
    raw,
    raw.reduce((bytes, part) => bytes + part.length + 2, 0),
  );
}

/** With the two characters that go with each part. */
const ofBytes = (bytes: number) => ['Host', 'a'.repeat(bytes - 'Host'.length - 4)];
const agent = ['Host', 'proxy.test:8080', 'User-Agent', 'httpx/0.28', 'Accept-Encoding', 'gzip', 'Cookie', 'a=1'];

describe('field lines that recur', () => {
  it('are read once', () => {
    const lists = new FieldLists();
    const first = read(lists, agent);
    expect(first).toEqual({
      fields: [
        ['host', 'proxy.test:8080'],
        ['user-agent', 'httpx/0.28'],
        ['accept-encoding', 'gzip'],
        ['cookie', 'a=1'],
      ],
      special: special.acceptEncoding | special.cookie,
      hasContent: false,
      hosts: 1,
      host: { ok: true, value: { host: 'proxy.test', port: 8080 } },
    });
    expect(read(lists, [...agent])).toBe(first);
  });

  it('are not taken for others of the same length, whichever part differs', () => {
    const lists = new FieldLists();
    read(lists, agent);
    for (const index of agent.keys()) {
      const other = agent.with(index, (agent[index] ?? '').replace(/.$/, '!'));
      expect(read(lists, other)).toEqual(read(new FieldLists(), other));
    }
  });

  it('do not change with what becomes of the array that they were given in', () => {
    const lists = new FieldLists();
    const raw = [...agent];
    const first = read(lists, raw);
    raw[1] = 'other.test';
    expect(read(lists, agent)).toBe(first);
  });

  it('are kept up to 4,096 bytes, and read each time beyond', () => {
    const lists = new FieldLists();
    const most = ofBytes(4096);
    const more = ofBytes(4097);
    expect(read(lists, most)).toBe(read(lists, [...most]));
    expect(read(lists, more)).not.toBe(read(lists, [...more]));
    expect(read(lists, more)).toEqual(read(lists, [...more]));
  });

  it('are read as what they are among ever new ones that take their places', () => {
    const lists = new FieldLists();
    for (let number = 0; number < 5000; number += 1) {
      const other = ['Host', `h${number % 700}`, 'Content-Length', String(number % 3), 'X-Trace', String(number)];
      const list = read(lists, number % 2 === 0 ? other : agent);
      const host = number % 2 === 0 ? `h${number % 700}` : 'proxy.test';
      expect(list).toMatchObject({ hosts: 1, host: { value: { host } } });
      expect(list.hasContent).toBe(number % 2 === 0 && number % 3 > 0);
    }
  });
});

describe('content', () => {
  it.each([
    [['Content-Length', '0'], false],
    [['Content-Length', '1'], true],
    [['content-LENGTH', '0', 'Content-Length', '0'], true],
    [['Transfer-Encoding', 'chunked'], true],
    [['X', 'y'], false],
  ])('of a request with %j: %s', (raw, announced) => {
    expect(read(new FieldLists(), raw).hasContent).toBe(announced);
  });
});
