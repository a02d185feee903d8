/** What is told of services, and when. */
export const serviceEvents = {
  'service-created': 'it is served, or says why not',
  'service-changed': 'it was asked to be otherwise, or a target of it was',
  'service-removed': 'its port is free',
  'service-restarted': 'HAProxy died and was started again: how many connections that cut',
  'target-up': 'a target answers',
  'target-down': 'a target does not answer, or is gone',
  'slo-lost': 'a promise is not kept',
  'slo-regained': 'it is kept again',
} as const;
