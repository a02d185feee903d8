/**
 * What people type who know docker or podman, and what to type instead: commands, and options of commands that both have. Loaded
 * only when something was not understood. docs/docker.md has it as tables.
 */

/** By option; `-x` for short ones. */
type Habits = Readonly<Record<string, string>>;

const RUN: Habits = {
  '--entrypoint': 'The command is all that is run: pk run -- PROGRAM ARGUMENT...',
  '--mount': 'Write --volume SOURCE:TARGET[:ro].',
  '--tmpfs': "Writes beside volumes stay in the guest's memory already.",
  '--net': 'Write --network none, private or egress.',
  '--cap-add': 'The guest has a kernel of its own: its root has every capability there.',
  '--cap-drop': 'The guest has a kernel of its own; run as another user with --user.',
  '--privileged': "The guest's root has every capability in its own kernel, and none on this machine.",
  '--security-opt': 'The VMM is jailed always; see SECURITY.md.',
  '--pid': "Each kernel has processes of its own; the host's are never seen.",
  '--ipc': 'Use a channel: pk channel create NAME, and pk run --channel NAME:send.',
  '--uts': 'Each kernel has a name of its own: --hostname.',
  '--userns': 'Users of a guest are mapped to ids of their own always.',
  '--cgroupns': 'Each kernel has control groups of its own.',
  '--init': 'pk-init is PID 1 in every guest and reaps.',
  '--read-only': 'The root is read-only below a scratch layer that ends with the kernel; volumes take :ro.',
  '--stop-timeout': 'Write --stop-grace 10s.',
  '--stop-signal': 'A stop powers the guest off, with SIGTERM to the workload first.',
  '--cpu-shares': 'Write --share FRACTION for a part of shared CPUs, or --cpus N.',
  '-c': 'Write --share FRACTION for a part of shared CPUs, or --cpus N.',
  '--cpuset-cpus': 'Give CPUs up to the pool (pk pool init --cpus 2-7) and own some: --dedicated --cpus N.',
  '--cpuset-mems': 'The memory of a --dedicated instance is on the node of its CPUs; a stack file names others.',
  '--memory-swap': 'A kernel has the memory that --memory says, and no swap.',
  '--memory-reservation': 'Write --dedicated: the memory is its own then.',
  '--gpus': 'Functions of graphics cards are given as others: --device ADDRESS, or --device vf:gpu.',
  '--expose': 'In a private network every port can be reached; --publish leads one of this machine there.',
  '-P': 'Name the ports: --publish 8080:80.',
  '--publish-all': 'Name the ports: --publish 8080:80.',
  '--link': 'Instances in --network private know each other by name.',
  '--add-host': 'Instances in --network private know each other by name.',
  '--dns': 'With --network egress names are asked of the resolvers of this machine.',
  '--ip': 'Addresses in the private network are given out; names are known there.',
  '--pull': 'An image is a kernel here: pk image pull NAME.',
  '--platform': 'Guests are of the architecture of this machine.',
  '--label-file': 'Write --label NAME=VALUE for each.',
  '--cidfile': 'Write --name NAME, and use it.',
  '--pidfile': "Write pk inspect -f '{{.pid}}' NAME.",
  '--replace': 'Remove it first: pk rm -f NAME.',
  '--log-driver': 'Logs are kept and rotated here: pk logs.',
  '--log-opt': 'Logs are kept and rotated here: pk logs.',
  '--detach-keys': 'A foreground instance ends with its client: run it with -d, and pk logs -f.',
  '--sig-proxy': 'Signals are passed on always.',
  '--attach': 'Standard streams are attached always, unless -d or --no-stdin.',
  '-a': 'Standard streams are attached always, unless -d or --no-stdin.',
  '--no-healthcheck': 'Without --health-cmd there is none: those of images are not known.',
  '--volumes-from': 'Write --volume for each.',
  '--volume-driver': 'Volumes are directories and files of this machine: --volume.',
  '--ulimit': 'Limits within the guest are its own: sh -c "ulimit -n 4096; exec PROGRAM".',
  '--sysctl': 'The guest has a kernel of its own: let the command set it.',
  '--shm-size': 'The guest has the memory that --memory says.',
  '--rootfs-overlay': 'Writes go to a scratch layer always.',
  '--runtime': 'Write --driver uml or qemu.',
  '--isolation': 'Write --driver uml or qemu.',
};

const LATEST = 'Write the name: $(pk ps --latest -q) is that of the latest.';
const ALL = 'Write the names: $(pk ps -q) are those that run.';

const OPTIONS: Readonly<Record<string, Habits>> = {
  run: RUN,
  cp: {
    '--overwrite': 'A file there is replaced always.',
  },
  exec: {
    '--privileged': "The guest's root has every capability there: --user 0.",
    '--detach-keys': 'End the command, or close the terminal: the instance goes on.',
    '--latest': LATEST,
    '-l': LATEST,
    '--preserve-fds': 'Standard streams alone are passed on.',
    '--preserve-fd': 'Standard streams alone are passed on.',
    '--cidfile': 'Write the name.',
    '--no-session': 'A command is a session of the guest always; it costs next to nothing.',
    '--wait': 'Write pk start NAME first: it returns once the workload runs.',
  },
  logs: {
    '--details': 'Labels are in pk inspect.',
    '--latest': LATEST,
    '-l': LATEST,
    '--names': 'One log is shown at a time.',
    '--color': 'One log is shown at a time.',
  },
  wait: {
    '--condition': 'Ends are waited for; pk events tells of everything else.',
    '--interval': 'Nothing is asked again and again: it is told at once.',
    '-i': 'Nothing is asked again and again: it is told at once.',
    '--ignore': 'Write pk wait NAME || true.',
    '--exit-first-match': 'Names are waited for one after the other.',
    '--latest': LATEST,
    '-l': LATEST,
  },
  top: { '--latest': LATEST, '-l': LATEST },
  stats: {
    '--latest': LATEST,
    '-l': LATEST,
    '--no-reset': 'Write --watch.',
    '--interval': 'Write --watch, or pk top --interval 2s.',
    '-i': 'Write --watch, or pk top --interval 2s.',
  },
  ps: {
    '--size': 'Writes stay in the memory of the guest: pk stats.',
    '-s': 'Writes stay in the memory of the guest: pk stats.',
    '-l': 'Write --latest.',
    '--ns': 'Each has a kernel of its own: pk inspect tells its process.',
    '--external': 'All instances there are are shown with --all.',
    '--noheading': "Write pk ps -q, or pk ps --format '{{.Names}}'.",
    '--namespace': 'Each has a kernel of its own: pk inspect tells its process.',
    '-w': 'Write pk top.',
    '--watch': 'Write pk top.',
    '--sync': 'What is shown is so.',
    '-p': 'There are no pods; stacks are in {{.Stack}}.',
    '--pod': 'There are no pods; stacks are in {{.Stack}}.',
    '--sort': "Write pk ps --format '{{.Names}} {{.CreatedAt}}' | sort -k2.",
  },
  inspect: {
    '--type': 'Write pk channel inspect, pk service inspect, or pk image ls.',
    '--size': 'Writes stay in the memory of the guest: pk stats.',
    '-s': 'Writes stay in the memory of the guest: pk stats.',
  },
  start: {
    '--attach': 'Write pk start NAME && pk logs -f NAME.',
    '-a': 'Write pk start NAME && pk logs -f NAME.',
    '--interactive': 'Write pk start NAME && pk exec -it NAME sh.',
    '-i': 'Write pk start NAME && pk exec -it NAME sh.',
  },
  stop: { '--signal': 'Write pk kill -s SIGNAL NAME.', '-s': 'Write pk kill -s SIGNAL NAME.', '--all': ALL, '-a': ALL },
  restart: {
    '--signal': 'Write pk kill -s SIGNAL NAME.',
    '-s': 'Write pk kill -s SIGNAL NAME.',
    '--all': ALL,
    '-a': ALL,
  },
  kill: { '--all': ALL, '-a': ALL },
  rm: {
    '--volumes': 'Volumes are directories of this machine, and stay.',
    '-v': 'Volumes are directories of this machine, and stay.',
    '--link': 'There are no links.',
    '--all': 'Write the names: $(pk ps -aq) are all there are.',
    '-a': 'Write the names: $(pk ps -aq) are all there are.',
    '--time': 'Write pk stop -t SECONDS NAME first.',
    '-t': 'Write pk stop -t SECONDS NAME first.',
  },
  'image ls': {
    '--all': 'All there are are shown.',
    '-a': 'All there are are shown.',
    '--digests': 'Write --no-trunc.',
  },
  'image rm': { '--force': 'Remove the instances that use it first.', '-f': 'Remove the instances that use it first.' },
  update: {
    '--restart': 'Change it in its stack file, and pk apply.',
    '--cpu-shares': 'Write --cpus N, or change its share in its stack file, and pk apply.',
    '-c': 'Write --cpus N, or change its share in its stack file, and pk apply.',
    '--cpuset-cpus': 'Write --cpus N; pk move cpu gives CPUs of one to another.',
  },
  events: {
    '--filter': 'Write pk events --json, and filter with jq \'select(.name == "web")\'.',
    '--until': 'End it with Ctrl-C.',
  },
};

const WORDS: Habits = {
  create: 'Write pk run -d, or name it in a stack file.',
  attach: 'Write pk logs -f NAME, pk exec -it NAME sh, or pk console NAME.',
  build: 'A root is a directory or an archive: pk run --rootfs PATH; any tool may make it.',
  buildx: 'A root is a directory or an archive: pk run --rootfs PATH; any tool may make it.',
  push: 'Images are kernels here, from Debian or of your own: pk image import.',
  commit: 'Changes beside volumes end with the kernel: pk exec NAME tar -c / > root.tar takes a copy.',
  export: 'Write pk exec NAME tar -c / > root.tar; pk run --rootfs root.tar runs it.',
  save: 'Images are kernels here: pk image ls.',
  load: 'Write pk image import KERNEL --name NAME; a root is given with pk run --rootfs.',
  import: 'Write pk image import KERNEL --name NAME; a root is given with pk run --rootfs.',
  tag: 'Write pk image import KERNEL --name NAME.',
  history: 'Images are kernels here: pk image ls.',
  search: 'Write pk image pull debian:amd64 or debian:uml.',
  login: 'Nothing is fetched from registries.',
  logout: 'Nothing is fetched from registries.',
  compose: 'Write pk apply, pk destroy, pk plan or pk diff: docs/stack.md.',
  up: 'Write pk apply.',
  down: 'Write pk destroy.',
  config: 'Write pk validate.',
  network: 'There are none, private and egress: pk run --network.',
  volume: 'Volumes are directories and files of this machine: pk run --volume.',
  rename: 'Names stay: make it anew with pk run --name.',
  info: 'Write pk doctor, or pk version.',
  system: 'Write pk doctor, or pk version.',
  prune: 'Write pk rm $(pk ps -aq --filter status=exited).',
  pod: 'Kernels that belong together are a stack: docs/stack.md.',
  kube: 'Kernels that belong together are a stack: docs/stack.md.',
  healthcheck: 'Checks are part of a run, pk run --health-cmd CMD: see pk health show.',
};

/** What to type instead of an option that the command `name` does not have. */
export const optionHabit = (name: string, option: string): string | undefined => own(own(OPTIONS, name) ?? {}, option);
/** What to type instead of a command that there is not. */
export const wordHabit = (word: string): string | undefined => own(WORDS, word);

const own = <T>(from: Readonly<Record<string, T>>, key: string): T | undefined =>
  Object.hasOwn(from, key) ? from[key] : undefined;

/** For a test: every command and option that is told of. */
export const habits = { options: OPTIONS, words: WORDS };
