/** What this machine's /etc/passwd says. */
import { readFileSync } from 'node:fs';

/** The home of USER[:GROUP], a name or a number; undefined when it is not there, or no absolute path. */
export function homeOf(user: string, passwd = '/etc/passwd'): string | undefined {
  const [who] = user.split(':', 1);
  const field = /^\d+$/.test(who!) ? 2 : 0;
  const wanted = field === 2 ? String(Number(who)) : who;
  for (const line of lines(passwd)) {
    const fields = line.split(':');
    if (fields[field] === wanted) return fields[5]?.startsWith('/') ? fields[5] : undefined;
  }
  return undefined;
}

function lines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n');
  } catch {
    return [];
  }
}
