/** What is told of upgrades, and when. */
export const upgradeEvents = {
  upgraded: 'it runs what it was upgraded to; how long it was down and what clients met with',
  'upgrade-undone': 'its upgrade failed and was taken back, and why',
} as const;

export type UpgradeEvent = keyof typeof upgradeEvents;
