import { describe, expect, it } from 'vitest';
import { cacheDirectory, checkSocketPath, home, layout, nativeBinary } from './paths.ts';

describe('home', () => {
  it.each([
    [{ POLYKERNEL_HOME: '/x/y' }, 0, '/x/y'],
    [{ HOME: '/root' }, 0, '/var/lib/polykernel'],
    [{ HOME: '/home/a' }, 1000, '/home/a/.local/state/polykernel'],
    [{ HOME: '/home/a', XDG_STATE_HOME: '/state' }, 1000, '/state/polykernel'],
    [{ HOME: '/home/a', POLYKERNEL_HOME: '', XDG_STATE_HOME: '' }, 1000, '/home/a/.local/state/polykernel'],
  ])('of %j for uid %d is %s', (env, uid, path) => {
    expect(home(env, uid)).toBe(path);
  });
});

it('puts the cache where the environment says', () => {
  expect(cacheDirectory({ POLYKERNEL_CACHE: '/c', HOME: '/home/a' })).toBe('/c');
  expect(cacheDirectory({ XDG_CACHE_HOME: '/xdg', HOME: '/home/a' })).toBe('/xdg/polykernel');
  expect(cacheDirectory({ HOME: '/home/a' })).toBe('/home/a/.cache/polykernel');
});

it('lays out a state directory', () => {
  expect(layout('/h')).toMatchObject({ socket: '/h/daemon.sock', database: '/h/state.db' });
  expect(layout('/h').instance('web')).toBe('/h/instances/web');
});

it('refuses a socket path that the kernel would cut', () => {
  const fits = `/${'a'.repeat(106)}`;
  expect(checkSocketPath(fits)).toBe(fits);
  expect(() => checkSocketPath(`${fits}a`)).toThrow(/108 bytes.*at most 107/);
  // Bytes count, not characters.
  expect(() => checkSocketPath(`/${'é'.repeat(54)}`)).toThrow(/109 bytes/);
});

it('says how to get a program that is not built', () => {
  expect(() => nativeBinary('pk-shim', '/nonexistent')).toThrow(
    expect.objectContaining({ code: 'unavailable', hint: expect.stringContaining('npm run setup') }),
  );
});
