/** What is told of healing, and when. */
export const healEvents = {
  healed:
    'a new kernel of it is up in the place of one that was not well, or went: of which it was healed, and how long it was away',
  'heal-held': 'it would be healed, but somebody looks at it: it is held off, or its health is acknowledged',
  'dependency-lost': 'one that it depends on, or shares a channel or a service with, went, and how',
  'dependency-back': 'that one has a new kernel',
  'heal-failed': 'it could not be ended or started anew, and is looked at again later',
} as const;

export type HealEvent = keyof typeof healEvents;
