/** What is told of healing, and when. */
export const healEvents = {
  healed:
    'a new kernel of it is up in the place of one that was not well, or went: of which it was healed, and how long it was away',
  'heal-held': 'it would be healed, but somebody looks at it: it is held off, or its health is acknowledged',
  'heal-failed': 'it could not be ended or started anew, and is looked at again later',
} as const;

export type HealEvent = keyof typeof healEvents;
