import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';

import { InterimLink } from '../../src/server/interim.ts';

type Script = (link: InterimLink, res: ServerResponse, req: IncomingMessage) => void;

/** All that a client reads that sends this, until its connection ends. */
async function exchange(script: Script, ...sent: readonly string[]): Promise<string> {
  const server = createServer((req, res) => script(new InterimLink(res), res, req));
  onTestFinished(() => new Promise((resolve) => void server.close(() => resolve())));
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const socket: Socket = connect(address.port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  const parts: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => void parts.push(chunk));
  socket.write(sent.join(''));
  await new Promise((resolve) => void socket.once('close', resolve));
  return Buffer.concat(parts).toString('latin1');
}

const get = (path = '/', version = '1.1'): string => `GET ${path} HTTP/${version}\r\nHost: a\r\n\r\n`;
const last = 'GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';

describe('an interim response', () => {
  it('reaches the client before the final head, whatever its status and fields', async () => {
    const text = await exchange((link, res) => {
      link.interim(103, [
        ['link', '</a.css>; rel=preload'],
        ['link', '</b.js>; rel=preload'],
      ]);
      link.interim(199, [['x-own', 'caf\u00e9']]);
      res.end('content');
    }, last);
    expect(text).toMatch(
      /^HTTP\/1\.1 103 Early Hints\r\nlink: <\/a\.css>; rel=preload\r\nlink: <\/b\.js>; rel=preload\r\n\r\nHTTP\/1\.1 199 Interim\r\nx-own: caf\u00e9\r\n\r\nHTTP\/1\.1 200 OK\r\n/,
    );
    expect(text.endsWith('\r\n\r\ncontent')).toBe(true);
  });

  it('carries nothing of the hop that it came by, and no length', async () => {
    const text = await exchange((link, res) => {
      link.interim(102, [
        ['connection', 'x-hop'],
        ['x-hop', '1'],
        ['keep-alive', 'timeout=5'],
        ['transfer-encoding', 'chunked'],
        ['content-length', '7'],
        ['x-own', '1'],
      ]);
      res.end();
    }, last);
    expect(text.split('\r\n\r\n')[0]).toBe('HTTP/1.1 102 Processing\r\nx-own: 1');
  });

  it.each([100, 101, 200, 99, 102.5, Number.NaN])('is none with the status %d', async (status) => {
    const text = await exchange((link, res) => {
      link.interim(status, []);
      res.end();
    }, last);
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  });

  it('loses what could not be sent on, not its other fields', async () => {
    const text = await exchange((link, res) => {
      link.interim(103, [
        ['x-own', 'a\r\nset-cookie: b'],
        ['x y', '1'],
        ['link', '</a>'],
      ]);
      res.end();
    }, last);
    expect(text.split('\r\n\r\n')[0]).toBe('HTTP/1.1 103 Early Hints\r\nlink: </a>');
  });

  it('is one of at most 16: the 17th is dropped', async () => {
    const text = await exchange((link, res) => {
      for (let count = 1; count <= 17; count += 1) link.interim(103, [['x-count', String(count)]]);
      res.end();
    }, last);
    expect(text.match(/HTTP\/1\.1 103/g)).toHaveLength(16);
    expect(text).toContain('x-count: 16\r\n\r\nHTTP/1.1 200 OK');
  });

  it('is not sent to a client of HTTP/1.0', async () => {
    const text = await exchange(
      (link, res) => {
        link.interim(103, []);
        res.end();
      },
      get('/', '1.0'),
    );
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  });

  it('is not sent once the final head is written', async () => {
    const text = await exchange((link, res) => {
      res.writeHead(200);
      link.interim(103, []);
      res.end('content', () => link.interim(103, []));
    }, last);
    expect(text).not.toContain('103');
  });

  it('waits for its turn on a connection with requests in a row', async () => {
    const waiting: (() => void)[] = [];
    const text = await exchange(
      (link, res, req) => {
        if (req.url === '/first') {
          waiting.push(() => res.end('first'));
          return;
        }
        link.interim(103, [['x-of', 'last']]);
        res.end(Buffer.from('last'));
        for (const go of waiting) go();
      },
      get('/first'),
      last,
    );
    // Its answer was written before its turn came: an interim response behind the final head would be content.
    expect(text).not.toContain('103');
    expect(text.indexOf('first')).toBeLessThan(text.indexOf('last'));
  });

  it('comes before its own answer where that is written when its turn has come', async () => {
    const waiting: (() => void)[] = [];
    const text = await exchange(
      (link, res, req) => {
        if (req.url === '/first') {
          waiting.push(() => res.end('first'));
          return;
        }
        link.interim(103, [['x-of', 'last']]);
        res.once('socket', () => setImmediate(() => res.end(Buffer.from('last'))));
        for (const go of waiting) go();
      },
      get('/first'),
      last,
    );
    expect(text).toMatch(/first.*HTTP\/1\.1 103 Early Hints\r\nx-of: last\r\n\r\nHTTP\/1\.1 200 OK\r\n.*last$/s);
  });
});
