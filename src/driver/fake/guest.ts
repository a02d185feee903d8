/** A guest in memory that speaks the real control protocol, so that everything above the driver is tested for true. */
import { type Duplex, duplexPair } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { protocol } from '../../guest/index.ts';
import type { HostUsage } from '../driver.ts';
import { attack, hostilityOf } from './hostile.ts';
import { EACCES, type FakeProcess, findProgram } from './programs.ts';

const { encodeFrame, FrameDecoder, Flag, MAX_TO_GUEST, MAX_TO_HOST, OUTPUT_CREDIT, ToGuest, ToHost, u16, u32 } =
  protocol;

interface Session {
  id: number;
  pid: number;
  command: readonly string[];
  credit: number;
  /** Called when there is new credit, or to try again after a reconnection. */
  wake: Set<() => void>;
  input: (Buffer | undefined)[];
  /** Bytes of stdout, stderr and stdin. */
  counts: [number, number, number];
  ended: { kind: number; value: number } | undefined;
  end(kind: number, value: number): void;
  ignored: Set<number>;
}

export interface FakeGuestOptions {
  hostname: string;
  bootId: string;
  release: string;
  cpus: number;
  onPanic(): void;
  onDie(): void;
  onPoweroff(): void;
  onConsole(text: string): void;
  /** The set of running sessions changed. */
  onSessions(): void;
}

export class FakeGuest {
  readonly files = new Map<string, { mode: number; content: Buffer }>();
  /** Slots whose bells the host has rung. */
  readonly bells: number[] = [];
  /** What the host kernel says of it. */
  usage: HostUsage;
  #watch: { paths: string[]; cancel: () => void } | undefined;
  readonly #options: FakeGuestOptions;
  readonly #sessions = new Map<number, Session>();
  readonly #partial = new Map<number, Buffer[]>();
  #hostname: string;
  #line: Duplex | undefined;
  #decoder = new FrameDecoder(MAX_TO_GUEST);
  #read = 0;
  #nextPid = 100;
  /** Milliseconds by which its clock is ahead of this process's. */
  clockAheadMs = 0;
  #paused = false;
  #stopped = false;
  #attacks = false;
  readonly #resumed = new Set<() => void>();

  constructor(options: FakeGuestOptions) {
    this.#options = options;
    this.#hostname = options.hostname;
    const vcpus = Array.from({ length: options.cpus }, () => ({ ranNs: 0, waitedNs: 0 }));
    this.usage = { vcpus, othersRanNs: 0, residentBytes: 64 * 1024 * 1024 };
    for (const [path, text] of Object.entries(procFiles(options.cpus)))
      this.files.set(path, { mode: 0o444, content: Buffer.from(text) });
  }

  /** A new control line; replaces the one there was. Returns the host's end. */
  connect(): Duplex {
    const [host, guest] = duplexPair({ readableHighWaterMark: 1 << 20, writableHighWaterMark: 1 << 20 });
    this.#line?.destroy();
    this.#line = guest;
    this.#decoder = new FrameDecoder(MAX_TO_GUEST);
    guest.on('error', () => {});
    guest.on('data', (chunk: Buffer) => this.#whenAwake(() => this.#line === guest && this.#receive(chunk)));
    guest.on('end', () => guest.destroy());
    return host;
  }

  get isPaused(): boolean {
    return this.#paused;
  }
  pause(): void {
    this.#paused = true;
  }
  resume(): void {
    this.#paused = false;
    for (const action of [...this.#resumed]) {
      this.#resumed.delete(action);
      action();
    }
  }

  /** What WATCH asked for, in this moment: as the guest does by itself at every interval. */
  snapshot(): void {
    if (this.#paused) return;
    for (const path of this.#watch?.paths ?? []) {
      const head = Buffer.alloc(10);
      head.writeBigUInt64LE(process.hrtime.bigint());
      head.writeUInt16LE(Buffer.byteLength(path), 8);
      const message = Buffer.concat([head, Buffer.from(path), this.files.get(path)?.content ?? Buffer.alloc(0)]);
      for (let at = 0; at < message.length; at += MAX_TO_HOST) {
        const more = at + MAX_TO_HOST < message.length ? Flag.more : 0;
        this.#send(ToHost.snapshot, 0, message.subarray(at, at + MAX_TO_HOST), more);
      }
    }
  }

  #startWatch(payload: Buffer): void {
    this.#watch?.cancel();
    this.#watch = undefined;
    const pairs = protocol.decodePairs(payload);
    const paths = pairs.filter(([key]) => key === 'path').map(([, path]) => path);
    if (paths.length === 0) return;
    const intervalMs = Number(new Map(pairs).get('interval-ms'));
    const timer = intervalMs > 0 ? setInterval(() => this.snapshot(), intervalMs).unref() : undefined;
    this.#watch = { paths, cancel: () => clearInterval(timer) };
    this.snapshot();
  }

  /** The power goes: every process is gone without a word. */
  halt(): void {
    this.#stopped = true;
    this.#watch?.cancel();
    this.#watch = undefined;
    this.#line?.destroy();
    for (const session of this.#sessions.values()) session.end(-1, 0);
  }

  /** Commands of the sessions that run, by session id: what a later process needs to play on. */
  running(): Record<string, readonly string[]> {
    const live = [...this.#sessions.values()].filter(
      (session) => session.ended === undefined && session.command.length > 0,
    );
    return Object.fromEntries(live.map((session) => [session.id, session.command]));
  }

  /** Starts a process as if an EXEC had come. */
  run(id: number, command: readonly string[], env: Record<string, string> = {}): void {
    const session = this.#session(id, command);
    const program = findProgram(command[0] ?? '');
    if (typeof program === 'number') {
      session.end(2, program);
      return;
    }
    this.#send(ToHost.started, id, u32(session.pid));
    this.#options.onSessions();
    program(this.#process(session, command, env)).then(
      (code) => session.end(0, code),
      () => {},
    );
  }

  #whenAwake(action: () => void): void {
    if (this.#paused) this.#resumed.add(action);
    else action();
  }

  #send(type: number, session: number, payload?: Uint8Array, flags = 0): void {
    if (this.#line === undefined || this.#line.destroyed) return;
    this.#line.write(encodeFrame(type, session, payload, flags));
  }

  #receive(chunk: Buffer): void {
    const frames = this.#decoder.push(chunk);
    const hostility = hostilityOf(this.#options.hostname);
    let greeted = false;
    for (const { type, flags, session, payload } of frames) {
      if (type === ToGuest.hello) {
        greeted = true;
        this.#read = 0;
        this.#answerHello(payload.readUInt32LE(4), payload.readUInt16LE(2));
        continue;
      }
      if (hostility === 'mute' || hostility === 'never-acks') continue;
      if (type === ToGuest.exec && hostility !== undefined && !this.#attacks) {
        this.#attacks = true;
        attack(hostility, this.#line!);
      }
      const parts = this.#partial.get(session) ?? [];
      parts.push(payload);
      if ((flags & Flag.more) !== 0) this.#partial.set(session, parts);
      else {
        this.#partial.delete(session);
        this.#handle(type, session, Buffer.concat(parts), (flags & Flag.eof) !== 0);
      }
    }
    if (greeted || hostility === 'never-acks') return;
    this.#read = (this.#read + chunk.length) >>> 0;
    this.#send(ToHost.ack, 0, u32(this.#read));
  }

  #answerHello(nonce: number, abilities: number): void {
    this.#startWatch(Buffer.alloc(0));
    for (const session of this.#sessions.values()) {
      session.credit = 0;
      const { kind, value } = session.ended ?? { kind: 0, value: 0 };
      this.#send(ToHost.session, session.id, u32(session.ended === undefined ? 0 : 1, session.pid, kind, value));
      const counts = Buffer.alloc(24);
      for (const [at, count] of session.counts.entries()) counts.writeBigUInt64LE(BigInt(count), 8 * at);
      if ((abilities & protocol.HOST_HEARS_COUNTS) !== 0) this.#send(ToHost.count, session.id, counts);
    }
    const { release, bootId, cpus } = this.#options;
    const pairs = protocol.encodePairs([
      ['release', release],
      ['boot-id', bootId],
      ['cpus', String(cpus)],
    ]);
    this.#send(ToHost.hello, 0, Buffer.concat([u16(protocol.PROTOCOL_VERSION, 0), u32(nonce), pairs]));
    // After a new HELLO stdin credit is granted anew.
    for (const session of this.#sessions.values()) {
      if (session.ended === undefined) this.#send(ToHost.credit, session.id, u32(protocol.STDIN_CREDIT));
    }
  }

  #handle(type: number, id: number, payload: Buffer, eof: boolean): void {
    const session = this.#sessions.get(id);
    if (type === ToGuest.configure) {
      const pairs = new Map(protocol.decodePairs(payload));
      this.#hostname = pairs.get('hostname') ?? this.#hostname;
      for (const [key, value] of protocol.decodePairs(payload)) this.#take(key, value);
      this.clockAheadMs += Number(pairs.get('time-step') ?? 0) / 1e6;
      this.#send(ToHost.result, id, Buffer.concat([u32(0), Buffer.from(`boot-id=${this.#options.bootId}`)]));
    } else if (type === ToGuest.exec) {
      const pairs = protocol.decodePairs(payload);
      const env = pairs
        .filter(([key]) => key === 'env')
        .map(([, text]) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]);
      this.run(
        id,
        pairs.filter(([key]) => key === 'arg').map(([, text]) => text),
        Object.fromEntries(env),
      );
    } else if (type === ToGuest.put || type === ToGuest.get) {
      const pairs = new Map(protocol.decodePairs(payload));
      void this.#transfer(type, id, pairs.get('path') ?? '', Number.parseInt(pairs.get('mode') ?? '644', 8));
    } else if (type === ToGuest.watch) this.#startWatch(payload);
    else if (type === ToGuest.bell) this.bells.push(id);
    else if (type === ToGuest.time) this.#tellTime(id);
    else if (type === ToGuest.poweroff) void this.#poweroff(payload.readUInt32LE());
    else if (session !== undefined) this.#toSession(session, type, payload, eof);
  }

  #tellTime(id: number): void {
    const payload = Buffer.allocUnsafe(8);
    payload.writeBigUInt64LE(BigInt(Math.round((Date.now() + this.clockAheadMs) * 1000)) * 1000n);
    this.#send(ToHost.time, id, payload);
  }

  /** A step of CONFIGURE, as far as it shows in files. */
  #take(key: string, value: string): void {
    const [name = '', ...rest] = value.split('\x1f');
    const path = `/run/pk/channels/${name}`;
    const put = (at: string, text: string) => this.files.set(at, { mode: 0o600, content: Buffer.from(text) });
    if (key === 'channel') put(path, `${rest.join(' ')}\n`);
    if (key === 'no-channel') this.files.delete(path);
    if (key === 'write') put(name, rest.join('\x1f'));
    if (key === 'address') put('/proc/net/fib_trie', `${rest[0]}\n`);
  }

  /** Its kernel's log tells of trouble, by its number in the protocol. */
  trouble(kind: number, count: number, text: string): void {
    this.#send(ToHost.trouble, kind, Buffer.concat([u32(count), Buffer.from(text)]));
  }

  /** A process rings the bell of the channel in `slot`. */
  ring(slot: number): void {
    this.#send(ToHost.bell, slot);
  }

  #toSession(session: Session, type: number, payload: Buffer, eof: boolean): void {
    if (type === ToGuest.stdin) {
      session.counts[2] += payload.length;
      if (payload.length > 0) session.input.push(payload);
      if (eof) session.input.push(undefined);
    } else if (type === ToGuest.signal) {
      const number = payload.readUInt32LE();
      if (number === 9 || !session.ignored.has(number)) session.end(1, number);
    } else if (type === ToGuest.credit) session.credit += payload.readUInt32LE();
    else if (type === ToGuest.forget) {
      session.end(1, 1);
      this.#sessions.delete(session.id);
    }
    for (const wake of session.wake) wake();
  }

  async #poweroff(graceMs: number): Promise<void> {
    const live = [...this.#sessions.values()].filter((session) => session.ended === undefined);
    for (const session of live) if (!session.ignored.has(15)) session.end(1, 15);
    if (live.some((session) => session.ended === undefined))
      await new Promise((resolve) => setTimeout(resolve, graceMs));
    for (const session of live) session.end(1, 9);
    if (this.#stopped) return;
    this.#send(ToHost.goodbye, 0);
    // The frames are on their way before the power goes.
    setImmediate(() => this.#options.onPoweroff());
  }

  async #transfer(type: number, id: number, path: string, mode: number): Promise<void> {
    const session = this.#session(id, []);
    const process = this.#process(session, [], {});
    const file = this.files.get(path);
    try {
      if (type === ToGuest.get) {
        if (file === undefined) return session.end(2, 2);
        await process.write('stdout', file.content);
      } else {
        if (path.startsWith('/read-only/')) return session.end(2, EACCES);
        const parts: Buffer[] = [];
        for (let data = await process.read(); data !== undefined; data = await process.read()) parts.push(data);
        this.files.set(path, { mode, content: Buffer.concat(parts) });
      }
      session.end(0, 0);
    } catch {
      // Ended by a signal or with the guest.
    }
  }

  #session(id: number, command: readonly string[]): Session {
    const session: Session = {
      id,
      pid: command.length === 0 ? 0 : this.#nextPid++,
      command,
      credit: OUTPUT_CREDIT,
      wake: new Set(),
      input: [],
      counts: [0, 0, 0],
      ended: undefined,
      ignored: new Set(),
      end: (kind, value) => {
        if (session.ended !== undefined) return;
        session.ended = { kind, value };
        if (kind >= 0) {
          if (kind !== 2) {
            this.#send(ToHost.stdout, id, undefined, Flag.eof);
            this.#send(ToHost.stderr, id, undefined, Flag.eof);
          }
          this.#send(ToHost.exited, id, u32(kind, value));
          this.#options.onSessions();
        }
        for (const wake of session.wake) wake();
      },
    };
    this.#sessions.set(id, session);
    return session;
  }

  #process(session: Session, argv: readonly string[], env: Record<string, string>): FakeProcess {
    const gone = new Error('the process was ended');
    /** Waits until `ready` gives something; wakes with the session. */
    const until = async <T>(ready: () => T | undefined): Promise<T> => {
      for (;;) {
        if (session.ended !== undefined) throw gone;
        const result = this.#paused ? undefined : ready();
        if (result !== undefined) return result;
        await new Promise<void>((resolve) => {
          const wake = () => {
            session.wake.delete(wake);
            this.#resumed.delete(wake);
            resolve();
          };
          session.wake.add(wake);
          if (this.#paused) this.#resumed.add(wake);
        });
      }
    };
    return {
      argv,
      env,
      hostname: this.#hostname,
      ignored: session.ignored,
      write: async (stream, data) => {
        const bytes = Buffer.from(data as string);
        for (let at = 0; at < bytes.length; ) {
          const size = await until(() => Math.min(session.credit, MAX_TO_HOST, bytes.length - at) || undefined);
          session.credit -= size;
          session.counts[stream === 'stdout' ? 0 : 1] += size;
          this.#send(stream === 'stdout' ? ToHost.stdout : ToHost.stderr, session.id, bytes.subarray(at, at + size));
          at += size;
          // A program that floods must not keep the rest of this process from running.
          await nextTurn();
        }
      },
      read: async () => {
        const [data] = await until(() => (session.input.length > 0 ? ([session.input.shift()] as const) : undefined));
        if (data !== undefined) this.#send(ToHost.credit, session.id, u32(data.length));
        return data;
      },
      sleep: (milliseconds) => {
        let timer: NodeJS.Timeout | undefined;
        let over = milliseconds === 0;
        if (milliseconds > 0 && milliseconds < 2 ** 31) {
          timer = setTimeout(() => {
            over = true;
            for (const wake of session.wake) wake();
          }, milliseconds);
        }
        return until(() => over || undefined)
          .then(() => {})
          .finally(() => clearTimeout(timer));
      },
      kill: (signal) => session.end(1, signal),
      panic: () => this.#options.onPanic(),
      console: (text) => this.#options.onConsole(text),
      die: () => this.#options.onDie(),
    };
  }
}

/** A guest that has just booted and does nothing. */
function procFiles(cpus: number): Record<string, string> {
  const each = Array.from({ length: cpus }, (_, cpu) => `cpu${cpu} 0 0 0 0 0 0 0 0 0 0\n`).join('');
  return {
    '/proc/stat': `cpu  0 0 0 0 0 0 0 0 0 0\n${each}procs_running 1\nprocs_blocked 0\n`,
    '/proc/meminfo': 'MemTotal: 262144 kB\nMemFree: 131072 kB\nMemAvailable: 196608 kB\nCached: 16384 kB\n',
    '/proc/vmstat': 'pgfault 0\npgmajfault 0\n',
    '/proc/diskstats': '',
    '/proc/net/dev': '',
  };
}
