import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it } from 'vitest';
import { dashboardCss } from '../../src/admin/dashboard-css.ts';
import { dashboardHtml } from '../../src/admin/dashboard-html.ts';
import { dashboardJs } from '../../src/admin/dashboard-js.ts';
import type { CacheReport } from '../../src/metrics/report.ts';
import { ask, startAdmin, stopAdmins, storedSummary, type AdminRig } from '../support/admin.ts';
import { FakePage } from '../support/page.ts';

afterEach(stopAdmins);

/** Opens the dashboard of a server, as a browser would, and lets its first refresh end. */
async function openPage(rig: AdminRig, page = new FakePage(rig.port)): Promise<FakePage> {
  runInNewContext(dashboardJs, page.globals());
  await page.settled();
  return page;
}

describe('the dashboard', () => {
  it('comes with a policy that lets nothing foreign in, and needs nothing foreign', async () => {
    const { port } = await startAdmin();
    const page = await ask(port, '/');
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    const policy = String(page.headers['content-security-policy']);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe');
    expect(page.text).not.toMatch(/<script(?! src="dashboard\.js" defer>)|<style| style=| on[a-z]+=/);
    expect(dashboardHtml + dashboardCss + dashboardJs).not.toMatch(/https?:|@import|url\(|\/\/[a-z]+\./);
    expect((await ask(port, '/dashboard.js')).headers['content-type']).toBe('text/javascript; charset=utf-8');
    expect((await ask(port, '/dashboard.css')).headers['content-type']).toBe('text/css; charset=utf-8');
  });

  it('never makes markup of what it shows', () => {
    expect(dashboardJs).not.toMatch(/innerHTML|outerHTML|insertAdjacent|document\.write|eval|new Function/);
  });

  it('finds every element that its script asks for, and labels every input', () => {
    const ids = new Set([...dashboardHtml.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id));
    const asked = [...dashboardJs.matchAll(/\$\('([^']+)'\)/g)].map(([, id]) => id);
    expect(asked.filter((id) => !ids.has(id))).toEqual([]);
    const inputs = [...dashboardHtml.matchAll(/<input id="([^"]+)"/g)].map(([, id]) => id);
    const labels = new Set([...dashboardHtml.matchAll(/<label for="([^"]+)"/g)].map(([, id]) => id));
    expect(inputs.filter((id) => !labels.has(id))).toEqual([]);
  });

  it('shows the report and what is stored, hostile keys as plain text', async () => {
    const hostile = '<img src=x onerror=alert(1)>';
    const rig = await startAdmin({
      services: {
        list: () => {
          const summary = storedSummary(Date.UTC(2026, 10, 23, 12));
          return [{ ...summary, item: { ...summary.item, key: hostile, url: hostile, tags: [hostile] } }];
        },
      },
    });
    const page = await openPage(rig);
    expect(page.text('stored')).toContain(hostile);
    expect(page.text('stored')).toContain('59 min');
    expect(page.text('sums')).toContain('0 %');
    expect(page.text('sums')).toContain('Store (of 976.6 KiB) 33.8 KiB');
    expect(page.text('outcomes')).toContain('stale-error');
    expect(page.text('routes')).toContain('weather');
    expect(page.text('state')).toMatch(/^updated /);
    expect(page.element('login').hidden).toBe(true);
  });

  it('says whose counters it shows', async () => {
    const rig = await startAdmin();
    const page = await openPage(rig);
    expect(page.text('scope')).toBe('(this process)');
    const { json } = await ask(rig.port, '/api/metrics/cache');
    const fleet = { ...Object(json), scope: 'fleet', sidecars: 3 };
    const other = await openPage(await startAdmin({ services: { metricsReport: () => fleet } }));
    expect(other.text('scope')).toBe('(fleet of 3)');
  });

  it('refreshes every two seconds', async () => {
    const rig = await startAdmin();
    const page = await openPage(rig);
    expect(page.timers.map((timer) => timer.delayMs)).toEqual([2000]);
    const before = page.requests.length;
    await page.runTimers();
    expect(page.requests.length).toBe(before * 2);
  });

  it('purges what its buttons say', async () => {
    const rig = await startAdmin();
    const page = await openPage(rig);
    await page.press('Purge weather|/weather?location=berlin');
    await page.press('Purge route weather');
    page.element('filter-tag').value = 'location:berlin';
    await page.fire('purge-tag', 'click');
    expect(rig.calls.filter(([name]) => name === 'purge').map(([, command]) => command)).toMatchObject([
      { selector: { by: 'key', key: 'weather|/weather?location=berlin' } },
      { selector: { by: 'route', route: 'weather' } },
      { selector: { by: 'tags', tags: ['location:berlin'] } },
    ]);
    expect(page.text('purged')).toBe('3 stored responses purged.');
    await page.fire('reset', 'click');
    expect(rig.calls.map(([name]) => name)).toContain('resetMetrics');
  });

  it('explains, and says why it cannot', async () => {
    const rig = await startAdmin();
    const page = await openPage(rig);
    page.element('explain-url').value = '/weather?location=Berlin';
    await page.fire('explain', 'submit');
    expect(page.text('explanation')).toContain('"would": "miss"');
    page.element('explain-url').value = '';
    await page.fire('explain', 'submit');
    expect(page.text('explanation')).toContain('url must be a text');
  });

  it('asks for the token, keeps it in the session, and asks again when it is wrong', async () => {
    const rig = await startAdmin({ token: 'the-right-token' });
    const page = await openPage(rig);
    expect(page.element('login').hidden).toBe(false);
    expect(page.element('content').hidden).toBe(true);
    const asked = page.requests.length;
    await page.runTimers();
    expect(page.requests.length).toBe(asked);
    page.element('token').value = 'wrong';
    await page.fire('login', 'submit');
    expect(page.element('login').hidden).toBe(false);
    expect([...page.session.values()]).toEqual([]);
    page.element('token').value = 'the-right-token';
    await page.fire('login', 'submit');
    expect(page.element('login').hidden).toBe(true);
    expect(page.element('content').hidden).toBe(false);
    expect(page.element('token').value).toBe('');
    expect([...page.session.values()]).toEqual(['the-right-token']);
    expect(page.requests.every((path) => !path.includes('token'))).toBe(true);
  });

  it('tells a screen reader of what changes, and not of the time with each refresh', async () => {
    let state: 'well' | 'broken' = 'well';
    const { json } = await ask((await startAdmin()).port, '/api/metrics/cache');
    const metricsReport = (): CacheReport => {
      if (state === 'broken') throw new Error('no report');
      return Object(json);
    };
    const rig = await startAdmin({ services: { metricsReport } });
    const page = await openPage(rig);
    const live = [...dashboardHtml.matchAll(/ id="([^"]+)"[^>]* role="status"/g)].map(([, id = '']) => id);
    const spoken = (): string => live.map((id) => page.text(id)).join('|');
    expect(live).not.toContain('state');
    expect(spoken()).toBe('up to date|');
    await page.runTimers();
    expect(spoken()).toBe('up to date|');
    state = 'broken';
    await page.runTimers();
    expect(spoken()).toContain('failed inside the proxy');
    expect(page.element('state').className).toBe('bad');
    state = 'well';
    await page.runTimers();
    expect(spoken()).toBe('up to date|');
  });

  it('keeps the buttons of routes where they are, and the focus on what was pressed', async () => {
    const rig = await startAdmin();
    const page = await openPage(rig);
    const button = page.button('Purge route weather');
    button.focus();
    await page.runTimers();
    expect(page.button('Purge route weather')).toBe(button);
    await page.press('Purge route weather');
    expect(page.focused).toBe(button);
    expect(page.button('Purge route weather')).toBe(button);
  });

  it('puts the focus on what came of a purge whose row is to go', async () => {
    const rig = await startAdmin();
    const page = await openPage(rig);
    const label = 'Purge weather|/weather?location=berlin';
    const button = page.button(label);
    await page.press(label);
    expect(page.focused).toBe(page.element('purged'));
    expect(page.button(label)).not.toBe(button);
  });

  it('says of a token that cannot be sent that it is none, and goes on asking', async () => {
    const rig = await startAdmin({ token: 'the-right-token' });
    const page = await openPage(rig);
    // As pasted from a page: a zero-width space behind it.
    page.element('token').value = 'the-right-token\u200b';
    await page.fire('login', 'submit');
    expect(page.element('login').hidden).toBe(false);
    expect(page.text('state')).toContain('visible ASCII');
    expect([...page.session.values()]).toEqual([]);
    page.element('token').value = ' the-right-token ';
    await page.fire('login', 'submit');
    expect(page.element('content').hidden).toBe(false);
  });

  it('names what its meters measure', async () => {
    const page = await openPage(await startAdmin());
    const meters = page.element('outcomes').children.map((row) => row.children.at(-1)?.children[0]);
    expect(meters.map((meter) => meter?.attributes.get('aria-label'))).toContain('Share of hit');
  });
});
