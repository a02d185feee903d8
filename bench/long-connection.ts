/** One client that stays connected, and connects again at once whenever it is cut: for how long it hears nothing. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** In ms, between two things heard while `work` goes on, and until something is heard after it. */
export async function longestSilence(
  port: number,
  work: () => Promise<unknown>,
): Promise<{ silenceMs: number; connected: number }> {
  let [silenceMs, connected] = [0, 0];
  let last: number | undefined;
  let socket: Socket | undefined;
  let isOver = false;
  const heard = () => {
    const now = performance.now();
    if (last !== undefined) silenceMs = Math.max(silenceMs, now - last);
    last = now;
  };
  const staying = (async () => {
    while (!isOver) {
      socket = connect(port, '127.0.0.1')
        .on('data', heard)
        .on('error', () => {});
      socket.once('data', () => {
        connected += 1;
      });
      await once(socket, 'close');
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  const hears = async (deadlineMs = 60_000) => {
    const before = last;
    for (const deadline = performance.now() + deadlineMs; last === before; ) {
      if (performance.now() > deadline) throw new Error('nothing was heard for a minute');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  try {
    await hears();
    await work();
    await hears();
  } finally {
    isOver = true;
    socket?.destroy();
    await staying;
  }
  return { silenceMs, connected };
}
