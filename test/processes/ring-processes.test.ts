import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { run } from '../../src/sys/process.ts';
import { nativeProgram } from '../support/native.ts';
import { type Language, soak } from '../support/ring-soak.ts';

const languages: Language[] = ['ts', 'c'];
const pairs = languages.flatMap((producer) => languages.map((consumer) => ({ producer, consumer })));

describe.each(pairs)('$producer to $consumer', (pair) => {
  test('every message arrives, in order and whole', async () => {
    const result = await soak({ ...pair, count: 20_000, longest: 1500, dataBytes: 4096 });
    expect(result.taken).toBe(20_000);
    expect(result.statistics.consumer.messages).toBe(20_000n);
  });

  test('no death loses, doubles or tears one', { timeout: 60_000 }, async () => {
    const { kills, taken } = await soak({
      ...pair,
      count: 200_000,
      longest: 200,
      dataBytes: 8192,
      killProducer: 60_000,
      killConsumer: 60_000,
      stall: pair.consumer === 'ts' ? 20_000 : 0,
      seed: 1 + (Date.now() % 1e9),
    });
    expect(taken).toBe(200_000);
    expect(kills.producer + kills.consumer).toBeGreaterThan(0);
  });
});

test('pk-ring carries lines between shells', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pk-ring-'));
  try {
    const program = await nativeProgram('pk-ring');
    const path = join(directory, 'lines');
    await run([program, 'create', path, '4096']);
    const receiver = spawn(program, ['recv', path], { stdio: ['ignore', 'pipe', 'inherit'] });
    const heard = text(receiver.stdout);
    const lines = Array.from({ length: 500 }, (_, i) => 'x'.repeat(i)).join('\n');
    const sent = await run([program, 'send', path], { input: lines });
    expect(sent.code).toBe(0);
    expect(await heard).toBe(`${lines}\n`);
    if (receiver.exitCode === null) await once(receiver, 'exit');
    expect(receiver.exitCode).toBe(0);
    expect((await run([program, 'create', path, '5000'])).code).toBe(1);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
