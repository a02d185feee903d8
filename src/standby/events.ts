/** What is told of standbys, and when. Each names the instance that is stood by for. */
export const standbyEvents = {
  'standby-ready': 'a second kernel of it waits, frozen, with all that its workload has loaded',
  'standby-serves': 'that one gets the requests in its place',
  'standby-rests': 'it serves again by itself, and the other one waits',
  'standby-failed': 'there can be none now, and why; it is tried again later',
} as const;

export type StandbyEvent = keyof typeof standbyEvents;
