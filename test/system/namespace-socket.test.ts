/** Connections that are tried from within a network namespace. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readlinkSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { type Knock, knock } from '../../src/sys/namespace-socket.ts';
import { nativeBinary } from '../../src/sys/paths.ts';
import { eventually } from '../support/harness.ts';
import { freePort } from '../support/http.ts';
import { ownNetwork } from '../support/own-network.ts';

const isRoot = process.getuid?.() === 0;
/** Of the bridge of a network of `ownNetwork`. */
const BRIDGE = '10.9.0.1';

async function answerOf(asked: Knock | undefined): Promise<string> {
  onTestFinished(() => asked?.close());
  await eventually(() => expect(asked!.look()).not.toBe('waits'));
  return asked!.look();
}

it('tells a port that takes connections from one that refuses them', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  expect(await answerOf(knock(null, '127.0.0.1', port))).toBe('taken');
  expect(await answerOf(knock(null, '127.0.0.1', await freePort()))).toBe('refused');
});

it.runIf(isRoot)('asks from within a namespace, and stays outside of it', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pk-knock-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  await using network = await ownNetwork(directory, 'tap');
  const { namespace: path } = network.joined.port;
  const before = readlinkSync('/proc/thread-self/ns/net');
  expect(await answerOf(knock(path, BRIDGE, 80))).toBe('refused');
  const code = `require('net').createServer().listen(80, '${BRIDGE}', () => console.log())`;
  const listener = spawn(nativeBinary('pk-enter'), [path, process.execPath, '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => ended(listener));
  await once(listener.stdout, 'data');
  expect(await answerOf(knock(path, BRIDGE, 80))).toBe('taken');
  expect(readlinkSync('/proc/thread-self/ns/net')).toBe(before);
});

it('is undefined where the namespace cannot be entered', () => {
  expect(knock('/proc/self/ns/uts', '127.0.0.1', 80)).toBeUndefined();
  expect(knock('/nowhere', '127.0.0.1', 80)).toBeUndefined();
});

async function ended(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}
