/** What HAProxy's `show stat` and `show servers state` say. */
import { plainLine } from '../sys/text.ts';

/** A row of `show stat`: a server, or the frontend or backend of a service. */
export interface StatRow {
  /** Name of the frontend or backend. */
  proxy: string;
  /** Name of the server, or FRONTEND or BACKEND. */
  server: string;
  inFlight: number;
  requests: number;
  errors: number;
  connectErrors: number;
  retries: number;
  status: string;
  weight: number;
  checkStatus: string;
  /** What its last check said. */
  checkReason: string;
}

export function parseStat(csv: string): StatRow[] {
  const [head = '', ...lines] = csv.trim().split('\n');
  const names = head.replace(/^# /, '').split(',');
  return lines.flatMap((line) => {
    const cells = cellsOf(line);
    const text = (name: string) => cells[names.indexOf(name)] ?? '';
    const number = (name: string) => Number(text(name)) || 0;
    if (text('pxname') === '' || text('svname') === '') return [];
    const mode = text('mode');
    return {
      proxy: text('pxname'),
      server: text('svname'),
      inFlight: number('scur'),
      requests: number('stot'),
      // A broken answer of a server is repeated elsewhere where it can be, and what the client got is told by the status.
      errors:
        mode === 'tcp' || text('svname') !== 'BACKEND' ? number('hrsp_5xx') + number('eresp') : number('hrsp_5xx'),
      connectErrors: number('econ'),
      retries: number('wretr'),
      status: text('status'),
      weight: number('weight'),
      checkStatus: text('check_status').replace(/^\* /, ''),
      // What an instance answered may be in it.
      checkReason: plainLine([text('check_desc'), text('last_chk')].filter((part) => part !== '').join(': '), 300),
    };
  });
}

/** Cells may be quoted, with quotes in them doubled. */
function cellsOf(line: string): string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|""){0,4096})"|([^,]{0,4096}))/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '',
  );
}

/** A server as HAProxy uses it now. */
export interface ServerState {
  backend: string;
  server: string;
  address: string;
  port: number;
  weight: number;
  /** Taken out of use. */
  maintenance: boolean;
}

/** Bits of `srv_admin_state` that mean maintenance. */
const MAINTENANCE = 0x01 | 0x02 | 0x04 | 0x20;

export function parseServers(text: string): ServerState[] {
  const [, head = '', ...lines] = text.trim().split('\n');
  const names = head.replace(/^# /, '').split(' ');
  return lines.flatMap((line) => {
    const cells = line.split(' ');
    const cell = (name: string) => cells[names.indexOf(name)] ?? '';
    if (cell('srv_name') === '') return [];
    return {
      backend: cell('be_name'),
      server: cell('srv_name'),
      address: cell('srv_addr'),
      port: Number(cell('srv_port')),
      weight: Number(cell('srv_uweight')),
      maintenance: (Number(cell('srv_admin_state')) & MAINTENANCE) !== 0,
    };
  });
}
