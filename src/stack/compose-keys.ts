/** What Compose users write that a stack file has under another name or not at all, and what to write instead: docs/stack.md. */

type Hints = Readonly<Record<string, string>>;

const TOP: Hints = {
  version: 'Leave it away.',
  volumes: 'Volumes are directories and files of this machine: volumes: ["./data:/data"] of a kernel.',
  networks: 'There is none, private and egress: network of a kernel.',
  secrets: 'Write volumes: ["./FILE:/run/secrets/NAME:ro"] of a kernel.',
  configs: 'Write volumes: ["./FILE:/etc/NAME:ro"] of a kernel.',
  include: 'A stack is one file. YAML anchors and merge keys hold what several kernels share.',
};

const OWN_ROOT =
  "Its root has every capability in its own kernel, and none on this machine; user: '1000' takes them away.";
const INSIDE = 'Limits within the guest are its own: let the command set them.';
const NETWORK = 'Write network: none, private or egress.';
const STREAMS = 'Leave it away: pk logs -f NAME, pk exec -it NAME sh and pk console NAME look in.';

const KERNEL: Hints = {
  annotations: 'Write labels.',
  build: 'Nothing is built: root: PATH takes a directory or an archive.',
  cap_add: OWN_ROOT,
  cap_drop: OWN_ROOT,
  cgroup_parent: 'Control groups are made by the daemon: tenant names whose it is.',
  configs: TOP.configs!,
  container_name: 'Its name is its key below kernels.',
  cpu_count: 'Write cpus: 2.',
  cpu_percent: 'Write partition: {cpus: {shared: 0.5}} for a part of shared CPUs.',
  cpu_period: 'Write cpus: 2, or partition: {cpus: {shared: 0.5}} for a part of shared CPUs.',
  cpu_quota: 'Write cpus: 2, or partition: {cpus: {shared: 0.5}} for a part of shared CPUs.',
  cpu_shares: 'Write partition: {cpus: {shared: 0.5, weight: 200}} for a part of shared CPUs.',
  cpuset: 'Write partition: {cpus: "2-3"}.',
  depends_on: 'Write dependsOn: [db], or [db:restart].',
  deploy: 'Write cpus, memory, replicas and restart of the kernel itself.',
  dns: 'With network: egress names are asked of the resolvers of this machine.',
  dns_search: 'With network: egress names are asked of the resolvers of this machine.',
  domainname: 'Write it with hostname: web.example.com.',
  entrypoint: 'command is all that is run: program and arguments.',
  env_file: 'Write environment: {NAME: $NAME}, and pk apply --env-file FILE.',
  expose: 'In network: private every port can be reached.',
  extends: 'Write <<: *base: YAML anchors and merge keys hold what several kernels share.',
  external_links: 'In network: private kernels know each other by name.',
  extra_hosts: 'In network: private kernels know each other by name.',
  gpus: 'Write devices: ["vf:gpu"], or their addresses.',
  group_add: "Write user: 'USER:GROUP'.",
  init: 'Leave it away: pk-init is PID 1 in every guest and reaps.',
  ipc: 'Write channels, beside kernels.',
  isolation: 'Write driver: uml or qemu.',
  links: 'In network: private kernels know each other by name.',
  logging: 'Logs are kept and rotated here: pk logs.',
  mac_address: 'Addresses in the private network are given out; names are known there.',
  mem_limit: 'Write memory: 512MiB.',
  mem_reservation: 'Write partition: {memory: 512MiB}: it is its own then.',
  mem_swappiness: 'A kernel has the memory that memory says, and no swap.',
  memswap_limit: 'A kernel has the memory that memory says, and no swap.',
  network_mode: NETWORK,
  networks: NETWORK,
  oom_kill_disable: 'The guest runs out of its own memory alone: memory.',
  oom_score_adj: 'The guest runs out of its own memory alone: memory.',
  pid: "Leave it away: each kernel has processes of its own; the host's are never seen.",
  pids_limit: INSIDE,
  platform: 'Leave it away: guests are of the architecture of this machine.',
  ports: 'Write publish: ["8080:80"].',
  privileged: OWN_ROOT,
  profiles: 'Write another stack file, and name it with -f.',
  pull_policy: 'An image is a kernel here: pk image pull NAME.',
  read_only: 'Leave it away: the root is read-only below a scratch layer that ends with the kernel; volumes take :ro.',
  rootfs: 'Write root: PATH.',
  runtime: 'Write driver: uml or qemu.',
  scale: 'Write replicas: 3.',
  secrets: TOP.secrets!,
  security_opt: 'Leave it away: the VMM is jailed always; see SECURITY.md.',
  shm_size: 'The guest has the memory that memory says.',
  stdin_open: STREAMS,
  stop_grace_period: 'Write stopGrace: 10s.',
  stop_signal: 'Leave it away: a stop powers the guest off, with SIGTERM to the workload first.',
  sysctls: 'The guest has a kernel of its own: let the command set them.',
  tmpfs: "Leave it away: writes beside volumes stay in the guest's memory.",
  tty: STREAMS,
  ulimits: INSIDE,
  userns_mode: 'Leave it away: users of a guest are mapped to ids of their own always.',
  uts: 'Each kernel has a name of its own: hostname.',
  volumes_from: 'Write the volumes of each kernel.',
  working_dir: 'Write cwd: /srv.',
};

const HEALTHCHECK: Hints = {
  disable: 'Leave healthcheck out.',
  start_interval: 'Failures within startPeriod do not count; interval is the same all the time.',
  test: 'Write command: curl -f http://localhost, a text for sh -c.',
};

const VOLUME: Hints = {
  bind: 'Leave it away: {source: ./data, target: /data, readOnly: true}.',
  read_only: 'Write readOnly: true.',
  tmpfs: "Writes beside volumes stay in the guest's memory already.",
  type: 'Leave it away: {source: ./data, target: /data, readOnly: true}.',
  volume: 'Leave it away: {source: ./data, target: /data, readOnly: true}.',
};

const SERVICE =
  'A service is a port that leads to kernels. What is run stands below kernels: kernels: {web: {command: [...]}}.';

/** What to write instead of the key at `path`, such as `kernels.web.ports`; undefined where Compose has none of that name there. */
export function insteadOf(path: string): string | undefined {
  const dot = path.lastIndexOf('.');
  const [above, key] = [path.slice(0, Math.max(0, dot)), path.slice(dot + 1)];
  if (/^services\.[^.]+$/.test(above))
    return has(KERNEL, key) || ['image', 'command', 'environment', 'restart'].includes(key) ? SERVICE : undefined;
  const hints = hintsOf(above);
  return hints !== undefined && has(hints, key) ? hints[key] : undefined;
}

function hintsOf(above: string): Hints | undefined {
  if (above === '') return TOP;
  if (/^kernels\.[^.]+$/.test(above)) return KERNEL;
  if (/^kernels\.[^.]+\.healthcheck$/.test(above)) return HEALTHCHECK;
  return /^kernels\.[^.]+\.volumes\[\d+\]$/.test(above) ? VOLUME : undefined;
}

const has = (hints: Hints, key: string): boolean => Object.hasOwn(hints, key);
