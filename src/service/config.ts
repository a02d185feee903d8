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
}

export interface ServedService {
  record: ServiceRecord;
  servers: readonly Server[];
}

export interface ConfigOptions {
  statsSocket: string;
  maxConnections: number;
  /** Of a service in tcp mode. */
  maxTcpConnections: number;
  threads: number;
  /** Name of the network namespace that ports are bound in; null: the one HAProxy runs in. */
  bindNamespace: string | null;
  /** Directory to be confined to after the start, as a user of its own; null: not as root. */
  chroot: string | null;
}

/** User and group of HAProxy once it has bound its ports: nobody else's, above those of kernels. */
export const proxyUid = (): number => 0x7fff_0002;
/** Where HAProxy writes its log. */
export const LOG_RING = 'requests';
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
  return [global(options), DEFAULTS, ...services.map((service) => section(service, options))].join('\n');
}

// A dead kernel answers nothing, not even a reset: what was sent and is not acknowledged, and a connection on which nothing
// comes, are given up after seconds (tcp-ut, srvtcpka), and the request goes to another instance.
const DEFAULTS = `# Keeps the last lines while nobody reads them: about fifteen thousand.
ring ${LOG_RING}
  format raw
  maxlen 1024
  size 1048576

defaults
  log ring@${LOG_RING} format raw local0
  timeout connect 1s
  timeout check 1s
  timeout queue 10s
  timeout http-request 10s
  timeout tunnel 24h
  retries 3
  option redispatch 1
  option srvtcpka
  srvtcpka-idle 2s
  srvtcpka-intvl 1s
  srvtcpka-cnt 3
  default-server check inter 1s fastinter 200ms downinter 500ms fall 2 rise 1 tcp-ut 3s
`;

function global({ statsSocket, maxConnections, threads, chroot }: ConfigOptions): string {
  const confined = chroot === null ? '' : `  chroot ${quoted(chroot)}\n  uid ${proxyUid()}\n  gid ${proxyUid()}\n`;
  return `# Made by Polykernel; changes are lost.
global
  maxconn ${maxConnections}
  no strict-limits
  nbthread ${threads}
  noreuseport
${confined}  stats socket ${quoted(statsSocket)} mode 600 level admin expose-fd listeners
  stats timeout 20d
`;
}

function section({ record, servers }: ServedService, { bindNamespace, maxTcpConnections }: ConfigOptions): string {
  const { name, bind, port, mode, balance, check } = record;
  const http = mode === 'http';
  const timeout = http ? '60s' : '1h';
  const frontend = [
    `frontend ${frontendOf(name)}`,
    `bind ${bindText(bind, port)}${bindNamespace === null ? '' : ` namespace ${bindNamespace}`}`,
    `mode ${mode}`,
    `timeout client ${timeout}`,
    // Idle connections outlive a reload: each ends with the answer to its next request.
    ...(http
      ? ['option idle-close-on-response', 'http-request set-var(txn.begin) date(0,us)', ...LOG_SAMPLING]
      : ['option clitcpka', `maxconn ${maxTcpConnections}`]),
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
          `http-check send meth GET uri ${check} ver HTTP/1.1 hdr Host ${name}`,
          'http-check expect status 200-399',
        ]),
    ...servers.map(serverLine),
  ];
  return [frontend, backend]
    .map(([head, ...rest]) => [head, ...rest.map((line) => `  ${line}`), ''].join('\n'))
    .join('\n');
}

function serverLine({ name, address, port, weight }: Server): string {
  const parts = [`server ${name} ${bindText(address ?? NO_ADDRESS, port)} weight ${weight}`];
  if (address === null) parts.push('disabled');
  return parts.join(' ');
}

/** As a word of the configuration, where nothing is special between single quotes. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
