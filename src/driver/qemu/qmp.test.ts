import { duplexPair } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Qmp, type QmpEvent, QmpPace } from './qmp.ts';

type Answer = (request: { execute: string; arguments: unknown; id: string }) => object | string | undefined;

/** The far end of a monitor: answers each command as told; greets like QEMU unless `greet` is false. */
function monitor(answer: Answer, greet = true) {
  const [near, far] = duplexPair();
  if (greet) far.write('{"QMP": {"version": {}, "capabilities": []}}\r\n');
  let text = '';
  far.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      if (!line.startsWith('{')) continue;
      const request = JSON.parse(line);
      const reply = answer(request);
      if (typeof reply === 'string') far.write(reply);
      else if (reply !== undefined) far.write(`${JSON.stringify({ ...reply, id: request.id })}\n`);
    }
  });
  return { near, far };
}

const accept: Answer = ({ execute }) => ({ return: execute });

describe('Qmp', () => {
  it('negotiates, and gives each command its own answer', async () => {
    const client = await Qmp.open(monitor(accept).near, 'a');
    const names = ['stop', 'cont', 'query-status'];
    expect(await Promise.all(names.map((name) => client.execute(name)))).toEqual(names);
    client.close();
  });

  it('takes over a monitor that another client has used', async () => {
    const { near, far } = monitor(({ execute }) => {
      if (execute !== 'qmp_capabilities') return { return: execute };
      return { error: { class: 'CommandNotFound', desc: 'negotiation is complete' } };
    }, false);
    far.write(
      'n": {}}\n{"return": {}, "id": "old1"}\n{"error": {"class": "GenericError", "desc": "JSON parse error"}}\n',
    );
    const client = await Qmp.open(near, 'b');
    expect(await client.execute('stop')).toBe('stop');
    client.close();
  });

  it.each(['', 'x', '{"event": "A"}', '{"return": {}, "id": "another"}'])(
    'hears no flood of %j to its end',
    async (line) => {
      const { near, far } = monitor((request) => (request.execute === 'stop' ? undefined : accept(request)));
      const client = await Qmp.open(near, 'a');
      let events = 0;
      client.on('event', () => {
        events += 1;
      });
      const refused = client.execute('stop');
      far.write(`${line}\n`.repeat(20_000));
      await expect(refused).rejects.toMatchObject({
        code: 'protocol',
        message: 'QEMU sent more than 10000 lines in a minute',
      });
      expect(events).toBeLessThanOrEqual(10_000);
    },
  );

  it('takes no more long lines a minute than it can read at once, of all its clients together', async () => {
    const pace = new QmpPace();
    const cutOff = { code: 'protocol', message: `QEMU sent more than ${8 * 2 ** 20} bytes in a minute` };
    const mute: Answer = (request) => (request.execute === 'stop' ? undefined : accept(request));
    const { near, far } = monitor(mute);
    const client = await Qmp.open(near, 'a', { pace });
    const refused = client.execute('stop');
    far.write(`[${'0,'.repeat(100_000)}0]\n`.repeat(60));
    await expect(refused).rejects.toMatchObject(cutOff);
    await expect(Qmp.open(monitor(mute).near, 'b', { pace })).rejects.toMatchObject(cutOff);
  });

  it('tells what QEMU refused, and why', async () => {
    const { near } = monitor(({ execute }) =>
      execute === 'migrate' ? { error: { class: 'GenericError', desc: 'no such file' } } : { return: {} },
    );
    const client = await Qmp.open(near, 'a');
    const refused = client.execute('migrate');
    await expect(refused).rejects.toMatchObject({ code: 'unsupported', message: 'QEMU refused migrate: no such file' });
    client.close();
  });

  it('hands on events', async () => {
    const { near, far } = monitor(accept);
    const client = await Qmp.open(near, 'a');
    const seen = new Promise<QmpEvent>((resolve) => client.once('event', resolve));
    far.write('{"event": "SHUTDOWN", "data": {"guest": true}, "timestamp": {}}\n');
    expect(await seen).toEqual({ name: 'SHUTDOWN', data: { guest: true } });
    client.close();
  });

  it('fails what waits when the monitor closes, and what comes after', async () => {
    const { near, far } = monitor(({ execute }) => (execute === 'qmp_capabilities' ? { return: {} } : undefined));
    const client = await Qmp.open(near, 'a');
    const waiting = client.execute('stop');
    far.end();
    await expect(waiting).rejects.toMatchObject({ code: 'kernel-died' });
    await expect(client.execute('stop')).rejects.toMatchObject({ code: 'kernel-died' });
  });

  it('gives up on a command that is not answered', async () => {
    const { near } = monitor(({ execute }) => (execute === 'qmp_capabilities' ? { return: {} } : undefined));
    const client = await Qmp.open(near, 'a');
    await expect(client.execute('stop', {}, 1)).rejects.toMatchObject({ code: 'internal' });
    client.close();
  });

  it('cuts off a line without end', async () => {
    const { near, far } = monitor(accept);
    const client = await Qmp.open(near, 'a');
    const closed = new Promise<void>((resolve) => client.once('close', resolve));
    far.write('x'.repeat(1024 * 1024 + 1));
    await closed;
    await expect(client.execute('stop')).rejects.toMatchObject({ code: 'protocol' });
  });

  it('survives any bytes, in any pieces', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.json(), fc.string()), { maxLength: 8 }),
        fc.nat(20),
        async (lines, size) => {
          const { near, far } = monitor(accept);
          const client = await Qmp.open(near, 'a');
          const bytes = Buffer.from(`${lines.join('\n')}\n`);
          for (let at = 0; at < bytes.length; at += size + 1) far.write(bytes.subarray(at, at + size + 1));
          expect(await client.execute('query-status')).toBe('query-status');
          client.close();
        },
      ),
      { numRuns: 50 },
    );
  });
});
