import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PolykernelError } from './errors.ts';
import { CACHE, checkSocket, makeFile, STATE, takePlace } from './places.ts';

const isRoot = process.getuid?.() === 0;
const NOBODY = 65534;
let base: string;
let home: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'pk-places-'));
  home = join(base, 'a/home');
});
afterEach(() => rmSync(base, { recursive: true }));

const mode = (path: string) => statSync(path).mode & 0o7777;
const refusal = (action: () => void): PolykernelError => {
  try {
    action();
  } catch (error) {
    return error as PolykernelError;
  }
  throw new Error('it was not refused');
};
const refused = (place = home, kind = STATE) => refusal(() => takePlace(place, kind));

describe('takePlace', () => {
  it('makes what is missing for the user alone, whatever the umask', () => {
    const mask = process.umask(0);
    try {
      takePlace(home, STATE);
    } finally {
      process.umask(mask);
    }
    expect([mode(join(base, 'a')), mode(home)]).toEqual([0o700, 0o700]);
  });

  it('takes the rights of others away from what lies in it', () => {
    takePlace(home, STATE);
    for (const [name, bits] of [['state.db-wal', 0o644] as const, ['telemetry.db', 0o4755] as const]) {
      writeFileSync(join(home, name), '');
      chmodSync(join(home, name), bits);
    }
    mkdirSync(join(home, 'instances'));
    chmodSync(join(home, 'instances'), 0o755);
    chmodSync(home, 0o755);
    takePlace(home, STATE);
    const entries = ['', 'state.db-wal', 'telemetry.db', 'instances'].map((name) => mode(join(home, name)));
    expect(entries).toEqual([0o700, 0o600, 0o700, 0o700]);
  });

  it('refuses one that others may write to, naming it, its owner, its mode and the remedy', () => {
    mkdirSync(home, { recursive: true });
    chmodSync(home, 0o770);
    const { code, field, message, hint } = refused();
    expect({ code, field }).toEqual({ code: 'permission', field: 'POLYKERNEL_HOME' });
    expect(message).toMatch(/^the state directory .*home is not used: others may write to .*home belongs.*mode 0770/);
    expect(hint).toMatch(/Run `chmod 700 .*home` after a look.*, or set POLYKERNEL_HOME to .*\/run\//);
    expect(refused(home, CACHE)).toMatchObject({
      field: 'POLYKERNEL_CACHE',
      hint: expect.stringMatching(/POLYKERNEL_CACHE to .*cache\/polykernel/),
    });
  });

  it.each([0o777, 0o770, 0o757])('refuses a parent of mode %o', (bits) => {
    takePlace(home, STATE);
    chmodSync(join(base, 'a'), bits);
    expect(refused().message).toContain(`others may write to ${join(base, 'a')}`);
  });

  it('accepts a sticky parent, such as /tmp, but is none itself', () => {
    mkdirSync(join(base, 'a'));
    chmodSync(join(base, 'a'), 0o1777);
    takePlace(home, STATE);
    const { message, hint } = refused(join(base, 'a'));
    expect(message).toContain('others may write');
    // Nobody is to change the mode of /tmp.
    expect(hint).not.toContain('chmod');
  });

  it('follows a link of ours where nobody else can make one, and no other', () => {
    mkdirSync(join(base, 'real'));
    mkdirSync(join(base, 'a'));
    symlinkSync('../real', home);
    takePlace(join(home, 'deep'), STATE);
    expect(existsSync(join(base, 'real/deep'))).toBe(true);
    chmodSync(join(base, 'a'), 0o1777);
    expect(refused(join(home, 'deep')).message).toMatch(/home is a symbolic link that belongs to/);
  });

  it('checks where a link leads', () => {
    mkdirSync(join(base, 'open/real'), { recursive: true });
    chmodSync(join(base, 'open'), 0o777);
    mkdirSync(join(base, 'a'));
    symlinkSync(join(base, 'open/real'), home);
    expect(refused().message).toContain(`others may write to ${join(base, 'open')}`);
    rmSync(home);
    symlinkSync(home, home);
    expect(refused().message).toContain('leads in a circle');
  });

  it.each(['daemon.log', 'daemon.sock', 'state.db', 'instances'])('refuses a planted link %s', (name) => {
    takePlace(home, STATE);
    const target = join(base, 'target');
    symlinkSync(target, join(home, name));
    expect(refused().message).toContain(`${join(home, name)} is a symbolic link`);
    expect(existsSync(target)).toBe(false);
  });

  it('refuses what is no directory', () => {
    mkdirSync(join(base, 'a'));
    writeFileSync(home, '');
    expect(refused().message).toContain(`${home} is no directory`);
  });

  describe.runIf(isRoot)('where somebody else', () => {
    it.each([
      ['owns it', () => home],
      ['owns a parent', () => join(base, 'a')],
      ['owns a file in it', () => join(home, 'state.db')],
    ])('%s', (_, owned) => {
      takePlace(home, STATE);
      writeFileSync(join(home, 'state.db'), '');
      chownSync(owned(), NOBODY, NOBODY);
      expect(refused().message).toMatch(new RegExp(`${owned()} belongs to uid ${NOBODY} \\(mode`));
    });

    it('made the link to it', () => {
      mkdirSync(join(base, 'real'));
      mkdirSync(join(base, 'a'));
      symlinkSync('../real', home);
      lchownSync(home, NOBODY, NOBODY);
      expect(refused().message).toContain(`${home} is a symbolic link that belongs to uid ${NOBODY}`);
    });
  });
});

describe('checkSocket', () => {
  const socket = () => join(home, 'daemon.sock');
  async function listen(): Promise<AsyncDisposable> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(socket(), resolve));
    return { [Symbol.asyncDispose]: () => new Promise((resolve) => void server.close(() => resolve())) };
  }

  it('lets a socket of this user pass, and has none connected to that is not there: another may make it in between', async () => {
    expect(checkSocket(socket(), STATE)).toBe(false);
    expect(checkSocket(join(tmpdir(), 'pk-no-such.sock'), STATE)).toBe(false);
    takePlace(home, STATE);
    expect(checkSocket(socket(), STATE)).toBe(false);
    await using _ = await listen();
    expect(checkSocket(socket(), STATE)).toBe(true);
  });

  it('refuses one in a directory in which others may make one, sticky or not', async () => {
    takePlace(home, STATE);
    await using _ = await listen();
    for (const bits of [0o777, 0o1777]) {
      chmodSync(home, bits);
      expect(refusal(() => checkSocket(socket(), STATE)).code).toBe('permission');
    }
    chmodSync(home, 0o700);
  });

  it('refuses what is no socket', () => {
    takePlace(home, STATE);
    symlinkSync('/dev/null', socket());
    expect(refusal(() => checkSocket(socket(), STATE)).message).toContain('is no socket');
  });

  it.runIf(isRoot)("refuses another user's, naming him", async () => {
    takePlace(home, STATE);
    await using _ = await listen();
    chownSync(socket(), NOBODY, NOBODY);
    expect(refusal(() => checkSocket(socket(), STATE)).message).toMatch(
      /daemon.sock belongs to uid 65534 .*would read/,
    );
    chownSync(socket(), 0, 0);
    chownSync(home, NOBODY, NOBODY);
    expect(refusal(() => checkSocket(socket(), STATE)).message).toContain('home belongs to uid 65534');
  });
});

it('makeFile makes a private file once', () => {
  const path = join(base, 'state.db');
  makeFile(path);
  writeFileSync(path, 'kept');
  chmodSync(path, 0o644);
  makeFile(path);
  expect([mode(path), statSync(path).size]).toEqual([0o600, 4]);
});
