import { expect, it } from 'vitest';
import { POLICIES } from './policy/policies.ts';
import { FAMILY_NAMES, generate } from './simulate/families.ts';
import { run } from './simulate/run.ts';
import { Timeline } from './simulate/timeline.ts';
import { why } from './why.ts';

it('says what moved, and why on both sides', () => {
  expect(
    why({
      at: 1,
      move: { kind: 'cpu', from: 'batch', to: 'web', count: 2 },
      taker: {
        kernel: 'web',
        before: 1,
        after: 3,
        reason: {
          rule: 'need',
          arrivals: 120,
          headroom: 12.5,
          serviceMs: 20,
          queued: 8,
          need: 3,
          lateNow: 0.031,
        },
      },
      giver: { kernel: 'batch', before: 4, after: 2, reason: { rule: 'rest' } },
    }),
  ).toBe(
    '2 CPUs from batch to web: web 1 → 3, since 120 requests/s and 12.5 of headroom at 20 ms each, with 8 waiting, need 3 CPUs ' +
      '(3.1 % are late now); batch 4 → 2, since batch kernels have what services leave',
  );
  expect(why({ at: 1, move: { kind: 'memory', from: 'a', to: null, bytes: 2 ** 28 } })).toBe('256 MiB of a set free');
  expect(why({ at: 1, move: { kind: 'weight', service: 'api', kernel: 'web', weight: 50 } })).toBe(
    'weight 50 for web in service api',
  );
});

it('has plain words for whatever policies decide', () => {
  for (const family of FAMILY_NAMES) {
    const scene = generate(family, 1, { seconds: 30 });
    for (const policy of POLICIES) {
      const timeline = new Timeline(scene);
      run(policy, scene, { timeline });
      for (const decision of timeline.decisions) expect(why(decision)).not.toMatch(/NaN|undefined|Infinity|object/);
    }
  }
});
