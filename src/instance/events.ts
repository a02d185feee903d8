/** What is told of instances, and when. */
export const instanceEvents = {
  created: 'it was recorded',
  starting: 'its kernel is booting, at first or again',
  ready: 'its kernel is up, and its workload is being executed',
  paused: 'its time stands still',
  resumed: 'its time goes on',
  stopping: 'it is ending: on request, because its workload ended, or to be healed',
  stuck:
    'its kernel was ended and is not proven to be gone: nothing of it is started, and what it owns is nobody else´s, until that is so',
  exited: 'it is down, and no restart is due',
  restarting: 'it was down, and is started again by its policy',
  crashed: 'its kernel panicked, died, hung and was ended for that, or was not ready in time',
  'crash-loop': 'it was restarted so often in a row without a good run that it is tried again only every ten minutes',
  removed: 'all of it is gone',
  adopted: 'a daemon that came back found its kernel running',
  unmapped:
    'a tree of the host is shown to it as everybody may see it, as its owners cannot be mapped, or not at all, as it does not answer',
} as const;

export type InstanceEventType = keyof typeof instanceEvents;
