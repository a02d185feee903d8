import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Link } from './link.ts';

it('is closed when what comes is too long for an answer, long before its deadline', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pk-link-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const server = createServer().listen(join(directory, 'socket'));
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const opened = Link.open(join(directory, 'socket'), 3_600_000);
  const refused = expect(opened).rejects.toMatchObject({ code: 'unavailable' });
  const [haproxy] = (await accepted) as [Socket];
  haproxy.on('error', () => {});
  haproxy.resume();
  const endless = () => {
    while (!haproxy.destroyed && haproxy.write(Buffer.alloc(65_536, 'a')));
  };
  haproxy.on('drain', endless);
  const closed = new Promise((resolve) => haproxy.once('close', resolve));
  endless();
  await Promise.all([refused, closed]);
});
