/** The binary messages of the WebSocket streams: one byte of channel, then bytes. */
export const CHANNEL = { stdin: 0, stdout: 1, stderr: 2 } as const;

/** Above this much unsent data in a WebSocket its source is held back. */
export const HIGH_WATER_BYTES = 256 * 1024;

/** Largest message either side sends or takes. */
export const MESSAGE_BYTES = 1024 * 1024;

export function frame(channel: number, bytes: Uint8Array): Buffer {
  const message = Buffer.allocUnsafe(bytes.length + 1);
  message[0] = channel;
  message.set(bytes, 1);
  return message;
}
