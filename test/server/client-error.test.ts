import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';

import { answerClientError, refuseConnection } from '../../src/server/client-error.ts';
import { Connections } from '../../src/server/connections.ts';
import { Lingering } from '../../src/server/lingering.ts';
import { converse, openRaw, type Conversation } from '../support/raw.ts';

const lingering = new Lingering(new Connections(8));

/** The end of the proxy of each connection. */
async function listen(onConnection: (socket: Socket) => void): Promise<string> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    socket.resume();
    onConnection(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no address');
  return `http://127.0.0.1:${address.port}`;
}

async function answered(
  code: string | undefined,
): Promise<{ readonly talk: Conversation; readonly limit: string | undefined }> {
  let limit: string | undefined;
  const url = await listen((socket) => {
    limit = answerClientError({ code }, socket, lingering)?.limit;
  });
  return { talk: await converse(url, ''), limit };
}

describe('What is no request', () => {
  it.each([
    ['HPE_HEADER_OVERFLOW', 431, 'head-too-large', 'server.limits.maxHeaderBytes'],
    ['ERR_HTTP_REQUEST_TIMEOUT', 408, 'request-timeout', 'server.timeouts.headers'],
    ['CONNECT', 405, 'method-not-allowed', undefined],
    ['HPE_INVALID_METHOD', 400, 'request-malformed', undefined],
    [undefined, 400, 'request-malformed', undefined],
  ])('%s is a %i with a problem, behind which the connection closes', async (code, status, problem, limit) => {
    const { talk, limit: hit } = await answered(code);
    expect(talk.replies.map((reply) => [reply.status, reply.field('content-type'), reply.field('connection')])).toEqual(
      [[status, 'application/problem+json', 'close']],
    );
    expect(JSON.parse(talk.replies[0]?.text ?? '')).toMatchObject({ status, type: `urn:forecache:problem:${problem}` });
    expect([talk.rest.length, talk.end, hit]).toEqual([0, 'fin', limit]);
  });

  it('gets no answer where the client has reset the connection', async () => {
    const { talk, limit } = await answered('ECONNRESET');
    expect([talk.replies.length, talk.rest.length, limit]).toEqual([0, 0, undefined]);
  });

  it('gets none where the connection takes nothing any more', async () => {
    const url = await listen((socket) => {
      socket.end();
      expect(answerClientError({ code: 'HPE_INVALID_METHOD' }, socket, lingering)).toBeUndefined();
    });
    expect((await converse(url, '')).replies).toEqual([]);
  });
});

describe('A connection too many', () => {
  it('is told when to come again, and closed whatever it still sends', async () => {
    const url = await listen((socket) => void refuseConnection(socket, 7, lingering));
    using connection = await openRaw(url);
    await connection.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    const reply = await connection.reply();
    expect([reply.status, reply.field('retry-after')]).toEqual([429, '1']);
    expect(JSON.parse(reply.text)).toMatchObject({ detail: 'More than 7 connections are open.' });
    await connection.ended();
  });
});
