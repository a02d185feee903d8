/**
 * What a service manager is told: that the daemon serves, that it ends, and, where it asked for that, that it still lives.
 * Its part is sd_notify(3): datagrams of text to the Unix socket that the environment names.
 */
import { datagramsTo } from '../sys/datagrams.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface Notifier {
  /** The end has begun. */
  ending(): void;
  /** Says nothing more. */
  close(): void;
}

/**
 * Tells the manager that started this process that it serves, and from then on at half the interval that it set. Undefined when
 * there is none; a manager that cannot be told is none of the daemon's business and ends it in its own time.
 */
export function notifyManager(env: Environment, pid = process.pid): Notifier | undefined {
  const { NOTIFY_SOCKET: path, WATCHDOG_USEC: interval, WATCHDOG_PID: watched } = env;
  if (path === undefined || !/^[/@]/.test(path)) return undefined;
  const datagrams = datagramsTo(path);
  const tell = (text: string) => datagrams?.send(text);
  tell(`READY=1\nMAINPID=${pid}\nSTATUS=serving`);
  const isWatched = /^[1-9]\d{0,14}$/.test(interval ?? '') && (watched === undefined || watched === String(pid));
  const timer = isWatched ? setInterval(() => tell('WATCHDOG=1'), Number(interval) / 2000).unref() : undefined;
  const close = () => {
    clearInterval(timer);
    datagrams?.close();
  };
  return {
    ending() {
      clearInterval(timer);
      tell('STOPPING=1');
    },
    close,
  };
}
