/** Ports of this machine that lead to real kernels: IPv6, UDP, ranges, and ones that are chosen. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceStatus } from '../../src/instance/contract.ts';
import { freePort } from '../support/http.ts';
import { Sandbox, until } from '../support/pk.ts';

/** Says on which port it was asked. */
const HTTP =
  'for p in 80 90 91 92; do mkdir /tmp/$p; echo $p > /tmp/$p/index.html; busybox httpd -p $p -h /tmp/$p; done';
const ECHO =
  'socket(S, PF_INET, SOCK_DGRAM, 0); bind(S, sockaddr_in(53, INADDR_ANY)); while ($a = recv(S, $b, 65536, 0)) { send(S, "you said $b", 0, $a) }';

const get = async (at: string) => {
  const answer = await fetch(`http://${at}/`, { signal: AbortSignal.timeout(5000) });
  return await answer.text();
};
const answered = (at: string) => until(`${at} answers`, () => get(at).catch(() => undefined));

/** What comes back for a datagram, sent again until something does. */
async function ask(at: string, text: string): Promise<string> {
  const [, address, port] = /^\[?([^\]]+)\]?:(\d+)$/.exec(at)!;
  const socket = createSocket(address!.includes(':') ? 'udp6' : 'udp4');
  try {
    let answer: string | undefined;
    socket.on('message', (message) => {
      answer = String(message);
    });
    socket.bind();
    await once(socket, 'listening');
    return await until(`${at} answers`, () => {
      if (answer === undefined) socket.send(text, Number(port), address);
      return answer;
    });
  } finally {
    socket.close();
  }
}

/** The first of three that are free. */
async function freeRange(): Promise<number> {
  for (;;) {
    const first = await freePort();
    const servers = [0, 1, 2].map((at) => createServer().listen(first + at, '127.0.0.1'));
    const bound = await Promise.all(
      servers.map((server) =>
        once(server, 'listening').then(
          () => true,
          () => false,
        ),
      ),
    );
    for (const server of servers) server.close();
    if (!bound.includes(false)) return first;
  }
}

describe.each(['uml', 'qemu'])('ports that lead to a kernel on %s', (driver) => {
  let sandbox: Sandbox;
  let first: number;
  let fixed: number;

  beforeAll(async () => {
    sandbox = await Sandbox.create();
    [first, fixed] = [await freeRange(), await freePort()];
    const publish = [`[::1]:${fixed}:80`, '0:80', `${fixed}:53/udp`, '[::1]::53/udp', `${first}-${first + 2}:90-92`];
    const options = publish.flatMap((text) => ['-p', text]);
    const script = `${HTTP}; exec perl -MSocket -e '${ECHO}'`;
    const ran = await sandbox.pk([
      ...['run', '-d', '--driver', driver, '--name', 'web', ...options],
      ...['--', 'sh', '-c', script],
    ]);
    expect(ran).toMatchObject({ code: 0, stdout: 'web\n' });
    // What was chosen is said at once.
    expect(ran.stderr).toMatch(/published: 127\.0\.0\.1:\d+->80\/tcp, \[::1\]:\d+->53\/udp$/m);
  });
  afterAll(() => sandbox[Symbol.asyncDispose]());

  const ports = async (port: string) => (await sandbox.ok('port', 'web', port)).trim().split('\n');

  it('leads IPv6 to it', async () => {
    expect(await answered(`[::1]:${fixed}`)).toBe('80\n');
  });

  it('leads a chosen port to it, and shows which', async () => {
    const [six, four] = await ports('80');
    expect(six).toBe(`[::1]:${fixed}`);
    expect(await answered(four!)).toBe('80\n');
    expect(await sandbox.ok('port', 'web')).toContain(`80/tcp -> ${four}\n`);
    expect((await sandbox.ok('ps')).replace(/ +/g, ' ')).toContain(
      `[::1]:${fixed}->80/tcp, ${four}->80/tcp, 127.0.0.1:${fixed}->53/udp, `,
    );
    // It stays the same.
    await sandbox.ok('restart', 'web');
    expect((await ports('80'))[1]).toBe(four);
    expect(await answered(four!)).toBe('80\n');
  });

  it('leads datagrams to it and back, over both', async () => {
    for (const at of await ports('53/udp')) {
      expect(await ask(at, 'hello')).toBe('you said hello');
      const long = 'x'.repeat(8000);
      expect(await ask(at, long)).toBe(`you said ${long}`);
    }
  });

  it('leads each port of a range to its own', async () => {
    for (const index of [0, 1, 2]) expect(await answered(`127.0.0.1:${first + index}`)).toBe(`${90 + index}\n`);
    expect(await sandbox.ok('ps')).toContain(`127.0.0.1:${first}-${first + 2}->90-92/tcp`);
  });

  it('refuses what is taken, and says by whom', async () => {
    const run = (text: string) => sandbox.pk(['run', '-d', '--driver', driver, '-p', text, '--', 'true']);
    expect(await run(`[::1]:${fixed}:1`)).toMatchObject({
      code: 125,
      stderr: expect.stringContaining(`port ${fixed}/tcp is published by web already`),
    });
    expect((await run(`[::]:${fixed}:1`)).stderr).toContain('is published by web already');
    const other = createSocket('udp6').bind(0, '::1');
    await once(other, 'listening');
    const { port } = other.address();
    expect((await run(`[::1]:${port}:1/udp`)).stderr).toContain(`port ${port}/udp of ::1 is in use`);
    other.close();
    expect((await run('8080:80/sctp')).stderr).toContain('"sctp" is no protocol');
    expect((await run('[2001:db8::1]::80')).stderr).toContain('no port of 2001:db8::1 can be chosen');
  });

  it('takes all of them away with it', async () => {
    const { spec } = await sandbox.json<InstanceStatus>('inspect', 'web');
    expect(spec.publish).toHaveLength(7);
    await sandbox.ok('rm', '-f', 'web');
    for (const { hostAddress, hostPort, protocol } of spec.publish) {
      const socket =
        protocol === 'udp'
          ? createSocket(hostAddress === '::1' ? 'udp6' : 'udp4').bind(hostPort, hostAddress)
          : createServer().listen(hostPort, hostAddress);
      await once(socket, 'listening');
      socket.close();
    }
  });
});
