/** Whom to tell when an instance is not well, or is again: a program, or a web hook on this machine. */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { runCommand } from '../sys/command.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { patiently } from '../sys/patience.ts';

/** One of both. */
export interface AlertTarget {
  /** Program and arguments: run without a shell, as the daemon's user; gets the alert as JSON on its standard input. */
  command?: readonly string[] | undefined;
  /** `http://127.0.0.1:PORT/PATH`, or `unix:/SOCKET:/PATH`: gets the alert as JSON by POST. */
  url?: string | undefined;
}

/** How long one may take. */
export const ALERT_DEADLINE_MS = 10_000;
const OUTPUT_BYTES = 4_096;

/** Where a web hook is reached; only on this machine, for an alert says what runs here. Throws `invalid`. */
export function webHook(url: string): { host?: string; port?: number; socketPath?: string; path: string } {
  const socket = /^unix:(\/[^:]{1,100})(?::(\/.*))?$/.exec(url);
  if (socket) return { socketPath: socket[1]!, path: socket[2] ?? '/' };
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const host = parsed?.hostname.replace(/^\[|\]$/g, '');
  if (
    parsed?.protocol === 'http:' &&
    host !== undefined &&
    (/^127(\.\d{1,3}){3}$/.test(host) || host === '::1' || host === 'localhost')
  )
    return {
      host: host === 'localhost' ? '127.0.0.1' : host,
      port: Number(parsed.port || 80),
      path: parsed.pathname + parsed.search,
    };
  throw new PolykernelError('invalid', `${JSON.stringify(url)} is no web hook on this machine`, {
    field: 'url',
    value: url,
    hint: 'Use http://127.0.0.1:PORT/PATH or unix:/SOCKET:/PATH; a program can tell others.',
  });
}

/** Rejects for a program that there is not or that is none: an alert that cannot be told is found out too late. */
export async function checkProgram(path: string): Promise<void> {
  const about = { field: 'command', value: path };
  try {
    const isFile = await patiently(path, async () => (await stat(path)).isFile());
    if (!isFile) throw new PolykernelError('invalid', `${path} is no program`, about);
    await patiently(path, () => access(path, constants.X_OK));
  } catch (error) {
    const { code, message, hint } = asPolykernelError(error, `looking at the program ${path}`);
    throw new PolykernelError(code === 'internal' ? 'not-found' : code, message, {
      ...about,
      hint: hint ?? 'Give the path of a program that the daemon may run.',
    });
  }
}

/** Rejects when it was not taken within the deadline. */
export async function deliver({ command, url }: AlertTarget, alert: string, signal: AbortSignal): Promise<void> {
  const late = AbortSignal.any([signal, AbortSignal.timeout(ALERT_DEADLINE_MS)]);
  const sent =
    command === undefined
      ? post(webHook(url!), alert, late)
      : runCommand(command, {
          input: alert,
          deadlineMs: ALERT_DEADLINE_MS,
          signal,
          cwd: '/',
          maxOutputBytes: OUTPUT_BYTES,
        });
  // What a program leaves running may hold its output for ever.
  await Promise.race([sent, aborted(late)]);
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () => reject(new PolykernelError('unavailable', `it was not taken within ${ALERT_DEADLINE_MS} ms`));
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail, { once: true });
  });
}

async function post(where: ReturnType<typeof webHook>, alert: string, signal: AbortSignal): Promise<void> {
  // With it Node loads what most daemons never need.
  const { request } = await import('node:http');
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(alert) };
  return await new Promise((resolve, reject) => {
    const sent = request({ ...where, method: 'POST', headers, agent: false, signal }, (answer) => {
      answer.destroy();
      const { statusCode = 0 } = answer;
      if (statusCode >= 200 && statusCode < 300) resolve();
      else reject(new PolykernelError('unavailable', `the web hook answered with ${statusCode}`));
    });
    sent.on('error', (error) =>
      reject(new PolykernelError('unavailable', `the web hook: ${error.message}`, { cause: error })),
    );
    sent.end(alert);
  });
}
