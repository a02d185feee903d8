/** Guests that mean harm, by their host name: for tests of what is above the driver. */
import type { Duplex } from 'node:stream';
import { protocol } from '../../guest/index.ts';

const { encodeFrame, MAX_TO_HOST, ToHost } = protocol;

/**
 * never-acks and mute listen to nothing after the handshake; mute acknowledges what it is sent. The others do as asked, and from the
 * first EXEC on also write what they should not, as fast as it is read.
 */
export const HOSTILE = {
  neverAcks: 'never-acks',
  mute: 'mute',
  floods: 'floods',
  giantReplies: 'giant-replies',
  garbage: 'garbage',
} as const;

export type Hostility = (typeof HOSTILE)[keyof typeof HOSTILE];

export const hostilityOf = (hostname: string): Hostility | undefined =>
  Object.values(HOSTILE).find((each) => each === hostname);

/** What is written again and again; undefined: nothing. */
function weapon(hostility: Hostility): Buffer | undefined {
  switch (hostility) {
    case 'never-acks':
    case 'mute':
      return undefined;
    case 'floods':
      return Buffer.concat(Array.from({ length: 4096 }, (_, at) => encodeFrame(ToHost.bell, at % 16)));
    case 'giant-replies': {
      const text = Buffer.from('\x1b[2J\u202e'.repeat(1000)).subarray(0, MAX_TO_HOST);
      const types = [ToHost.stdout, ToHost.exited, ToHost.result, ToHost.snapshot, ToHost.session, ToHost.hello];
      return Buffer.concat(types.map((type) => encodeFrame(type, 1, text, protocol.Flag.more)));
    }
    case 'garbage': {
      // Headers of long frames that are none.
      const header = Buffer.alloc(12);
      header.write('PK');
      header.writeUInt16LE(MAX_TO_HOST, 8);
      return Buffer.concat(Array.from({ length: 4096 }, () => header));
    }
  }
}

/** Begins to write on `line`, until it is gone. */
export function attack(hostility: Hostility, line: Duplex): void {
  const bytes = weapon(hostility);
  if (bytes === undefined) return;
  const go = () => {
    if (line.destroyed || line.writableEnded) return;
    if (line.write(bytes)) setImmediate(go);
    else line.once('drain', go);
  };
  go();
}
