import { expect, it } from 'vitest';
import { Beat, type Look } from './beat.ts';

/** Plays a kernel of so many vCPUs, second by second. */
function kernel(vcpus = 1) {
  const beat = new Beat(0);
  const state: Omit<Look, 'usage'> = { atMs: 0, heard: 0 };
  let beaten = 0;
  let counters = Array.from({ length: vcpus }, () => ({ ranNs: 0, waitedNs: 0 }));
  /** `ran`, `waited`: of each vCPU, the share of that second. */
  const seconds = (
    count: number,
    {
      says = true,
      ran = [],
      waited = [],
      late = 0,
      beats,
    }: { says?: boolean; ran?: number[]; waited?: number[]; late?: number; beats?: 'more' | 'none' },
  ) => {
    for (let second = 0; second < count; second++) {
      state.atMs += 1_000 + late;
      if (says) state.heard += 2;
      if (beats === 'more') beaten += 1;
      if (beats !== undefined) state.beats = beats === 'more' ? beaten : beats;
      counters = counters.map(({ ranNs, waitedNs }, at) => ({
        ranNs: ranNs + (ran[at] ?? 0) * 1e9,
        waitedNs: waitedNs + (waited[at] ?? 0) * 1e9,
      }));
      beat.look({ ...state, usage: { vcpus: counters, othersRanNs: 0, residentBytes: null } });
    }
    return beat.verdict;
  };
  seconds(2, {});
  return { beat, seconds };
}

it('nothing is known of one that was never heard', () => {
  const beat = new Beat(0);
  beat.look({ atMs: 1_000, heard: 5, usage: undefined });
  expect(beat.verdict).toBe('unheard');
  beat.look({ atMs: 2_000, heard: 6, usage: undefined });
  expect(beat.verdict).toBe('alive');
});

it('one that runs all the time and says nothing is hung after two looks, since it was last heard', () => {
  const { beat, seconds } = kernel();
  expect(seconds(1, { says: false, ran: [1] })).toBe('alive');
  expect(seconds(1, { says: false, ran: [0.99] })).toBe('hung');
  expect([beat.sinceMs, beat.seen]).toEqual([2_000, 'it said nothing for 2 s, in which it had 2.0 s of CPU time']);
  expect(seconds(1, {})).toBe('alive');
});

it('one that hung after the last reading before the look is hung after two all the same, though others had some of its CPU', () => {
  const { seconds } = kernel();
  expect(seconds(1, { says: false, ran: [0.45] })).toBe('alive');
  expect(seconds(1, { says: false, ran: [0.9] })).toBe('hung');
});

it('one that runs most of the time is hung after three', () => {
  const { seconds } = kernel();
  expect(seconds(2, { says: false, ran: [0.6] })).toBe('alive');
  expect(seconds(1, { says: false, ran: [0.9] })).toBe('hung');
});

it('one that runs nothing and says nothing is hung after ten', () => {
  const { seconds } = kernel();
  expect(seconds(9, { says: false })).toBe('alive');
  expect(seconds(1, { says: false })).toBe('hung');
});

it.each([
  ['gets no time', 1, [0], [1]],
  ['gets a little', 1, [0.02], [0.98]],
  ['has one vCPU that gets none, where its agent may be', 2, [1, 0.01], [0, 0.9]],
] as const)('one that %s is starving, not hung, however long it is silent', (_, vcpus, ran, waited) => {
  const { beat, seconds } = kernel(vcpus);
  expect(seconds(60, { says: false, ran: [...ran], waited: [...waited] })).toBe('starving');
  expect(beat.isDoubtful).toBe(true);
  expect(seconds(1, {})).not.toBe('hung');
});

it('one that is hung is told so on a loaded machine too, once it had time enough', () => {
  const { seconds } = kernel();
  expect(seconds(3, { says: false, ran: [0.3], waited: [0.7] })).toBe('starving');
  expect(seconds(6, { says: false, ran: [0.3], waited: [0.7] })).toBe('hung');
});

it('at twice the load a kernel that answers, slowly, is never hung', () => {
  const { seconds } = kernel();
  for (let round = 0; round < 1_800; round += 4) {
    expect(seconds(3, { says: false, ran: [0.5], waited: [0.5] })).not.toBe('hung');
    expect(seconds(1, { ran: [0.5], waited: [0.5] })).not.toBe('hung');
  }
});

it('one that waits more than it runs is starving while it answers, and well again when it no longer does', () => {
  const { beat, seconds } = kernel();
  expect(seconds(4, { ran: [0.2], waited: [0.8] })).toBe('starving');
  expect(beat.seen).toContain('80 %');
  expect(seconds(4, { ran: [0.9], waited: [0.05] })).toBe('alive');
});

it('what the daemon could not look at counts for nothing: it got no time itself, or the machine slept', () => {
  const { seconds } = kernel();
  expect(seconds(30, { says: false, ran: [1], late: 2_000 })).toBe('alive');
});

it('nor does a clock that is set back or forward', () => {
  const { beat, seconds } = kernel();
  const look = (atMs: number) => beat.look({ atMs, heard: 4, usage: undefined });
  for (const atMs of [3_000, -9_000, 3_000, -9_000, 1e9]) look(atMs);
  expect(beat.verdict).toBe('alive');
  expect(seconds(1, {})).toBe('alive');
});

it('nor does a pause', () => {
  const { beat, seconds } = kernel();
  for (let round = 0; round < 10; round++) {
    seconds(1, { says: false, ran: [1] });
    beat.pause();
  }
  expect(beat.verdict).toBe('alive');
});

it('one whose line is busy is not hung as long as it beats apart from that; in the end its line is told of', () => {
  const { beat, seconds } = kernel();
  expect(seconds(29, { says: false, ran: [1], beats: 'more' })).toBe('alive');
  expect(seconds(1, { says: false, ran: [1], beats: 'more' })).toBe('mute');
  expect(beat.seen).toContain('for 30 s');
  expect(seconds(1, { beats: 'more' })).toBe('alive');
});

it('one that stops to beat with its line is hung no later than without', () => {
  const { seconds } = kernel();
  seconds(3, { beats: 'more', ran: [1] });
  // Its last beat came between the last word and the first look.
  seconds(1, { says: false, ran: [1], beats: 'more' });
  const rest = { says: false, ran: [1] };
  expect(seconds(1, rest)).toBe('alive');
  expect(seconds(1, rest)).toBe('hung');
});

it('a watchdog that ran out is no beat', () => {
  const { seconds } = kernel();
  seconds(2, { says: false, ran: [1], beats: 'more' });
  expect(seconds(1, { says: false, ran: [1], beats: 'none' })).toBe('hung');
});
