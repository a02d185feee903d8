/** HAProxy's configuration, made from services. Pure. */
import { isIPv6 } from 'node:net';
import { LOG_FORMAT, LOG_SAMPLING } from './log.ts';
import type { Balance, ServiceRecord } from './types.ts';

/** A target as HAProxy is to use it. */
export interface Server {
  /** That of the instance. */
  name: string;
  /** null: it cannot be reached. */
  address: string | null;
  port: number;
  /** 0 when it is drained. */
  weight: number;
  /** That it is well is known: its first check is not waited for. */
  isWell?: boolean;
}

/** The server of what stands by for an instance; no instance can be called so. */
export const standInServer = (instance: string): string => `${instance}.standby`;

export interface ServedService {
  record: ServiceRecord;
  servers: readonly Server[];
}

export interface ConfigOptions {
  statsSocket: string;
  /** How many files HAProxy may open for connections. */
  files: number;
  threads: number;
  /** Name of the network namespace that ports are bound in; null: the one HAProxy runs in. */
  bindNamespace: string | null;
  /** What it is confined to after the start: a directory, and a user and group of its own; null: not as root. */
  confined: { directory: string; uid: number } | null;
}

/** Where HAProxy writes its log. */
export const LOG_RING = 'requests';
/** Clients at one time, shared evenly among the services, but no fewer for one than that. */
const MAX_CLIENTS = 10_000;
const LEAST_SHARE = 1_000;
/** An address that nothing has, for servers without one. */
const NO_ADDRESS = '0.0.0.0';

const BALANCE: Record<Balance, string> = {
  random2: 'random(2)',
  roundrobin: 'roundrobin',
  leastconn: 'leastconn',
};

export const frontendOf = (service: string): string => `${service}.in`;
export const bindText = (bind: string, port: number): string => `${isIPv6(bind) ? `[${bind}]` : bind}:${port}`;

export function renderConfig(services: readonly ServedService[], options: ConfigOptions): string {
  const shares = services.map(({ record }) => clientShare(record.mode, services.length, options.files));
  const sections = services.map((service, at) => section(service, shares[at]!, options));
  return [global(options, shares), DEFAULTS, ...sections].join('\n');
}

/**
 * How many clients a service may have at one time, so that those of one leave every other its own. Each takes two files; in http
 * mode those to servers are shared, which is relied upon only where there is no other service to suffer.
 */
function clientShare(mode: ServiceRecord['mode'], services: number, files: number): number {
  const wanted = Math.max(LEAST_SHARE, Math.floor(MAX_CLIENTS / services));
  return Math.max(1, Math.min(wanted, Math.floor(files / services / (mode === 'http' && services === 1 ? 1 : 2))));
}

/**
 * How often a target that is down is asked whether it is up again. One whose kernel has just come refuses until its program listens, which costs both
 * kernels next to nothing; where no kernel runs none is asked, and one that does not answer is asked once a second. With a path its program works for it.
 */
const DOWN = { connects: '50ms', path: '200ms' };

// A dead kernel answers nothing, not even a reset: what was sent and is not acknowledged, and a connection on which nothing
// comes, are given up after seconds (tcp-ut, srvtcpka), and the request goes to another instance.
const DEFAULTS = `# Keeps the last lines while nobody reads them: about fifteen thousand.
ring ${LOG_RING}
  format raw
  maxlen 1024
  size 1048576

defaults
  log ring@${LOG_RING} format raw local0
  backlog 4096
  timeout connect 1s
  timeout check 1s
  timeout queue 10s
  timeout http-request 5s
  timeout http-keep-alive 10s
  timeout tunnel 24h
  retries 3
  option redispatch 1
  option srvtcpka
  srvtcpka-idle 2s
  srvtcpka-intvl 1s
  srvtcpka-cnt 3
  default-server check inter 1s fastinter 200ms downinter ${DOWN.connects} fall 2 rise 1
`;

function global({ statsSocket, threads, confined }: ConfigOptions, shares: readonly number[]): string {
  const place =
    confined === null ? '' : `  chroot ${quoted(confined.directory)}\n  uid ${confined.uid}\n  gid ${confined.uid}\n`;
  return `# Made by Polykernel; changes are lost.
global
  maxconn ${shares.reduce((sum, share) => sum + share, 0)}
  no strict-limits
  nbthread ${threads}
  noreuseport
${place}  stats socket ${quoted(statsSocket)} mode 600 level admin expose-fd listeners
  stats timeout 20d
`;
}

function section({ record, servers }: ServedService, share: number, { bindNamespace }: ConfigOptions): string {
  const { name, bind, port, mode, balance, check } = record;
  const http = mode === 'http';
  const timeout = http ? '60s' : '1h';
  const frontend = [
    `frontend ${frontendOf(name)}`,
    `bind ${bindText(bind, port)}${bindNamespace === null ? '' : ` namespace ${bindNamespace}`}`,
    `mode ${mode}`,
    `maxconn ${share}`,
    // One address has at most half, so that it does not close the service to others. Of IPv6 a network counts as one.
    `stick-table type ipv6 size ${share} expire 1m store conn_cur`,
    'tcp-request connection track-sc0 src,ipmask(32,64)',
    `tcp-request connection reject if { sc0_conn_cur gt ${Math.ceil(share / 2)} }`,
    `timeout client ${timeout}`,
    // Idle connections outlive a reload: each ends with the answer to its next request.
    ...(http
      ? ['option idle-close-on-response', 'http-request set-var(txn.begin) date(0,us)', ...LOG_SAMPLING]
      : ['option clitcpka']),
    `log-format "${LOG_FORMAT[mode]}"`,
    `default_backend ${name}`,
  ];
  const backend = [
    `backend ${name}`,
    `mode ${mode}`,
    `balance ${BALANCE[balance]}`,
    `timeout server ${timeout}`,
    ...(http
      ? [
          'option forwardfor',
          'retry-on conn-failure empty-response response-timeout',
          // Whether it was acted upon is unknown; doing it twice must not matter.
          'http-request disable-l7-retry unless { method GET HEAD OPTIONS PUT DELETE }',
        ]
      : []),
    ...(check === null
      ? []
      : [
          'option httpchk',
          `default-server downinter ${DOWN.path}`,
          `http-check send meth GET uri ${check} ver HTTP/1.1 hdr Host ${name}`,
          'http-check expect status 200-399',
        ]),
    ...servers.map(serverLine),
  ];
  return [frontend, backend]
    .map(([head, ...rest]) => [head, ...rest.map((line) => `  ${line}`), ''].join('\n'))
    .join('\n');
}

/** HAProxy 2.6 takes `tcp-ut` here alone, and passes over it in default-server. */
function serverLine({ name, address, port, weight }: Server): string {
  const parts = [`server ${name} ${bindText(address ?? NO_ADDRESS, port)} weight ${weight} tcp-ut 3s`];
  if (address === null) parts.push('disabled');
  return parts.join(' ');
}

/** As a word of the configuration, where nothing is special between single quotes. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
