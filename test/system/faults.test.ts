import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Client } from '../../src/client/index.ts';
import { Store } from '../../src/core/store.ts';
import { createDaemon } from '../../src/daemon/index.ts';
import { layout } from '../../src/sys/paths.ts';
import { startDaemon } from '../support/harness.ts';

describe('the state directory', () => {
  it('has one daemon, and a second is told which', async () => {
    const test = await startDaemon();
    await expect(startDaemon({ home: test.home })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining(`(pid ${process.pid})`),
    });
    expect(await test.client.version()).toMatchObject({ home: test.home });
  });

  it.each(['garbage', 'truncated'])('that is damaged (%s) is named with its remedy, and can be reset', async (how) => {
    const home = mkdtempSync(join(tmpdir(), 'pk-unit-'));
    const paths = layout(home);
    try {
      if (how === 'garbage') writeFileSync(paths.database, 'x'.repeat(8192));
      else {
        Store.open(paths).close();
        const { readFileSync } = await import('node:fs');
        const bytes = readFileSync(paths.database);
        bytes.fill(0xee, 4096);
        writeFileSync(paths.database, bytes);
      }
      const error = await startDaemon({ home }).then(
        () => undefined,
        (reason) => reason,
      );
      expect(error).toMatchObject({ code: 'internal', hint: expect.stringContaining('--reset-state') });
      expect(error.message).toContain(paths.database);
      expect(JSON.stringify(error)).not.toContain('.ts:');
      const aside = Store.reset(paths, new Date());
      expect(readdirSync(home)).toContain(aside!.slice(home.length + 1));
      Store.open(paths).close();
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  });

  it('with a stale socket is taken over', async () => {
    const home = mkdtempSync(join(tmpdir(), 'pk-unit-'));
    const stale = createServer().listen(layout(home).socket);
    await new Promise((resolve) => stale.once('listening', resolve));
    // Closing would remove it; what a killed process leaves is a file that nobody listens on.
    const path = layout(home).socket;
    const { linkSync } = await import('node:fs');
    linkSync(path, `${path}.keep`);
    await new Promise((resolve) => stale.close(resolve));
    const { renameSync } = await import('node:fs');
    renameSync(`${path}.keep`, path);
    const test = await startDaemon({ home });
    expect(await test.client.version()).toMatchObject({ apiVersion: 1 });
  });

  it('that cannot be made is named', async () => {
    await expect(createDaemon({ home: '/dev/null/nowhere' } as never)).rejects.toMatchObject({
      message: expect.stringContaining('/dev/null/nowhere'),
    });
  });
});

describe('bad requests', () => {
  it('never show a stack', async () => {
    const test = await startDaemon();
    const answers = await Promise.all([
      raw(test.daemon.socket, 'GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'),
      raw(
        test.daemon.socket,
        'POST /v1/instances HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\n{"a":',
      ),
      raw(
        test.daemon.socket,
        'POST /v1/instances HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello',
      ),
      raw(test.daemon.socket, 'GET /v1/instances/%zz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'),
      raw(
        test.daemon.socket,
        `POST /v1/instances HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 9000000\r\n\r\n`,
      ),
      raw(
        test.daemon.socket,
        'GET /v1/nothing HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n',
      ),
    ]);
    for (const answer of answers) {
      expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
      expect(answer).toMatch(/"error":\{"code":"/);
      expect(answer).not.toMatch(/node_modules|\.ts:\d/);
    }
    expect(answers[0]).toContain('"not-found"');
    expect(answers[1]).toContain('"invalid"');
  });

  it('of long work end with an error line', async () => {
    const test = await startDaemon();
    const progress: string[] = [];
    await expect(test.client.pullImage('nope', (line) => progress.push(line))).rejects.toMatchObject({
      code: 'not-found',
    });
    expect(progress).toEqual(['fetching']);
    expect(await test.client.prewarm({ driver: 'fake' })).toEqual({ driver: 'fake', image: 'fake' });
  });

  it('to a daemon that is not there say so', async () => {
    await expect(new Client('/tmp/pk-no-such.sock').list()).rejects.toMatchObject({
      code: 'unavailable',
      hint: expect.stringContaining('pk daemon'),
    });
  });
});

function raw(socketPath: string, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path: socketPath }, () => socket.write(request));
    let text = '';
    socket.setEncoding('utf8').on('data', (data) => {
      text += data;
    });
    socket.on('close', () => resolve(text)).on('error', reject);
  });
}
