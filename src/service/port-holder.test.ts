import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { which } from '../sys/process.ts';
import { checkPortFree } from './port-holder.ts';

let child: ChildProcess | undefined;
afterEach(async () => {
  const ended = child && once(child, 'exit');
  child?.kill('SIGKILL');
  await ended;
  child = undefined;
});

it('names the process of this machine that has a port', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const refused = await checkPortFree('127.0.0.1', port).catch(({ message }) => message);
  server.close();
  expect(refused).toMatch(`(pid ${process.pid})`);
});

// All processes of one kernel may have millions, and to look at them would hold up the daemon for minutes.
it.runIf(process.getuid?.() === 0)('does not look at the descriptors of what is inside a jail', async () => {
  const script = `require('net').createServer().listen(0, '127.0.0.1', function () { console.log(this.address().port) })`;
  child = spawn(which('unshare')!, ['--pid', '--fork', '--kill-child', process.execPath, '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [text] = (await once(child.stdout!, 'data')) as [Buffer];
  const port = Number(text);
  await expect(checkPortFree('127.0.0.1', port)).rejects.toMatchObject({
    code: 'conflict',
    message: `port ${port} of 127.0.0.1 is in use`,
  });
});
