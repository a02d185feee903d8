/** What is told of channels, and when. */
export const channelEvents = {
  'channel-created': 'its memory is there',
  'channel-removed': 'all of it is gone',
  'channel-attached': 'a program has opened a side: its process and epoch',
  'channel-detached': 'a side was left',
  'channel-closed': 'the stream of a side ended',
  'channel-error': 'an end broke the layout, or the memory was lost',
} as const;
