import { describe, expect, it } from 'vitest';
import { writeScripts } from '../../src/demo/agents.ts';
import { drawQuestion, identityOf, type Question } from '../../src/demo/questions.ts';
import { createRandom } from '../../src/demo/seeded.ts';
import { spell, spellDecimal, spellText } from '../../src/demo/spelling.ts';

/** Reads a spelling back by the rules of the contract's routes, written here a second time and the slow way. */
function readBack(target: string): string {
  const url = new URL(target, 'http://proxy.invalid');
  const text = (name: string): string =>
    (url.searchParams.get(name) ?? '').normalize('NFC').trim().replace(/\s+/g, ' ').toLowerCase();
  const decimal = (name: string): string => String(Math.round(Number(url.searchParams.get(name)) * 100) / 100);
  const set = (name: string): string => text(name).split(',').toSorted().join();
  switch (url.pathname) {
    case '/weather/forecast':
      return `forecast ${text('location')} ${text('days') || '7'} ${text('units') || 'metric'}`;
    case '/weather/historical':
      return `historical ${text('location')} ${text('date')}`;
    case '/weather/point':
      return `point ${decimal('lat')} ${decimal('lon')} ${set('fields')}`;
    default:
      return `events ${text('location')} ${text('start')} ${text('end')} ${set('categories')}`;
  }
}

describe('spelling', () => {
  it('never changes what is asked', () => {
    const random = createRandom(4);
    for (let i = 0; i < 5000; i++) {
      const question = drawQuestion(random);
      expect(readBack(spell(question, random))).toBe(identityOf(question));
    }
  });

  it('writes one question in many ways', () => {
    const random = createRandom(4);
    const question: Question = { kind: 'forecast', location: 'são paulo', days: 7, units: 'metric' };
    const spellings = new Set(Array.from({ length: 500 }, () => spell(question, random)));
    expect(spellings.size).toBeGreaterThan(100);
    const all = [...spellings].join('\n');
    for (const part of ['%20', '+', 'S%C3%83O', 'a%CC%83', 'days=7&', '&location=', '_=']) expect(all).toContain(part);
  });

  it('uses every way to write a decimal', () => {
    const random = createRandom(1);
    const written = new Set(Array.from({ length: 200 }, () => spellDecimal('-12.04', random)));
    expect(written).toContain('-12.04');
    expect(written).toContain('-12.040');
    expect(written).toContain('-1204e-2');
    expect([...written].some((text) => /^-12\.04[1-4]\d+$/.test(text))).toBe(true);
  });

  it('leaves text without a space without one, unless around it', () => {
    const random = createRandom(1);
    for (let i = 0; i < 100; i++) expect(spellText('lima', random)).toMatch(/^(\+|%20)?lima(\+|%20)?$/i);
  });
});

describe('the scripts', () => {
  it('are the same for the same seed and others for another', () => {
    expect(writeScripts(3, 200)).toEqual(writeScripts(3, 200));
    expect(writeScripts(4, 200)).not.toEqual(writeScripts(3, 200));
  });

  it('hold as many requests as asked for, shared out among the agents, all beginning with one question', () => {
    const scripts = writeScripts(1, 400);
    expect(scripts.length).toBe(8);
    expect(scripts.reduce((sum, { asks }) => sum + asks.length, 0)).toBe(400);
    expect(new Set(scripts.map(({ asks }) => asks.length)).size).toBe(1);
    expect(new Set(scripts.map(({ asks }) => asks[0] && identityOf(asks[0].question))).size).toBe(1);
  });

  it('ask for berlin and for paris, and for lima as well as lima sur', () => {
    const asked = writeScripts(1, 400).flatMap(({ asks }) => asks.map(({ question }) => identityOf(question)));
    for (const place of ['forecast berlin', 'events berlin', 'paris', 'forecast lima 7', 'lima sur']) {
      expect(asked.some((identity) => identity.includes(place))).toBe(true);
    }
  });
});
