/** All commands, in the order help shows them. Each is loaded only when it is used, since start-up time is felt. */
import type { Command } from './kit/command.ts';

interface Entry {
  summary: string;
  load(): Promise<{ command: Command }>;
}

export const COMMANDS: Readonly<Record<string, Entry>> = {
  run: { summary: 'run a command in a kernel of its own', load: () => import('./instance/run.ts') },
  ps: { summary: 'list instances', load: () => import('./instance/ps.ts') },
  logs: { summary: 'show the output of a workload or the console', load: () => import('./instance/logs.ts') },
  exec: { summary: 'run another command in an instance', load: () => import('./instance/exec.ts') },
  console: { summary: "connect to an instance's kernel console", load: () => import('./instance/console.ts') },
  inspect: { summary: 'show everything about instances', load: () => import('./instance/inspect.ts') },
  start: { summary: 'start instances', load: () => import('./instance/start.ts') },
  stop: { summary: 'stop instances: power off, then kill', load: () => import('./instance/stop.ts') },
  restart: { summary: 'stop and start instances', load: () => import('./instance/restart.ts') },
  kill: { summary: 'kill kernels at once, or signal workloads', load: () => import('./instance/kill.ts') },
  pause: { summary: 'freeze instances', load: () => import('./instance/pause.ts') },
  resume: { summary: 'let paused instances go on', load: () => import('./instance/resume.ts') },
  wait: { summary: 'wait until instances end; print their exit codes', load: () => import('./instance/wait.ts') },
  rm: { summary: 'remove instances', load: () => import('./instance/rm.ts') },
  unshare: {
    summary: 'run a command as the owner of what your kernels wrote',
    load: () => import('./instance/unshare.ts'),
  },
  top: { summary: 'what instances use, live', load: () => import('./instance/top.ts') },
  stats: { summary: 'what instances use: CPU, memory, disk, network', load: () => import('./instance/stats.ts') },
  cp: { summary: 'copy a file into or out of an instance', load: () => import('./instance/cp.ts') },
  events: { summary: 'show what happens, as it happens', load: () => import('./instance/events.ts') },
  topology: {
    summary: 'show packages, cores, caches, memory and devices of a machine',
    load: () => import('./topology/topology.ts'),
  },
  'pool init': {
    summary: 'give CPUs, memory and devices up for instances',
    load: () => import('./pool/init.ts'),
  },
  'pool show': {
    summary: 'the pool, who owns what of it, what is free',
    load: () => import('./pool/show.ts'),
  },
  'pool grow': { summary: 'give up more', load: () => import('./pool/grow.ts') },
  'pool shrink': { summary: 'take back what nobody owns', load: () => import('./pool/shrink.ts') },
  'pool release': { summary: 'take everything back', load: () => import('./pool/release.ts') },
  validate: {
    summary: 'check a stack file: every error, with line and column',
    load: () => import('./stack/validate.ts'),
  },
  plan: { summary: 'what applying a stack file would do, and why', load: () => import('./stack/plan.ts') },
  apply: { summary: 'make the machine as a stack file says', load: () => import('./stack/apply.ts') },
  diff: { summary: 'how the machine differs from a stack file', load: () => import('./stack/diff.ts') },
  destroy: { summary: 'remove every instance of a stack', load: () => import('./stack/destroy.ts') },
  map: { summary: 'draw the machine, coloured by owner', load: () => import('./machine/map.ts') },
  'channel create': {
    summary: 'make a ring of shared memory between two ends',
    load: () => import('./channel/create.ts'),
  },
  'channel ls': { summary: 'list channels', load: () => import('./channel/ls.ts') },
  'channel inspect': {
    summary: 'show everything about channels',
    load: () => import('./channel/inspect.ts'),
  },
  'channel stats': {
    summary: 'what goes through a channel per second',
    load: () => import('./channel/stats.ts'),
  },
  'channel send': {
    summary: 'send lines of standard input through a channel',
    load: () => import('./channel/send.ts'),
  },
  'channel recv': {
    summary: 'print what comes through a channel',
    load: () => import('./channel/recv.ts'),
  },
  'channel rm': { summary: 'remove channels', load: () => import('./channel/rm.ts') },
  'service create': {
    summary: 'lead a port of this machine to several instances',
    load: () => import('./service/create.ts'),
  },
  'service ls': { summary: 'list services', load: () => import('./service/ls.ts') },
  'service stats': {
    summary: 'what each target of a service gets, and how fast it answers',
    load: () => import('./service/stats.ts'),
  },
  'service inspect': {
    summary: 'show everything about services',
    load: () => import('./service/inspect.ts'),
  },
  'service update': {
    summary: 'change a service while it serves',
    load: () => import('./service/update.ts'),
  },
  'service drain': {
    summary: 'give targets of a service no new connections',
    load: () => import('./service/drain.ts'),
  },
  'service weight': {
    summary: 'change how much a target of a service gets',
    load: () => import('./service/weight.ts'),
  },
  'service rm': { summary: 'remove services', load: () => import('./service/rm.ts') },
  slo: { summary: 'whether services keep their promises', load: () => import('./service/slo.ts') },
  'image ls': { summary: 'list kernel images', load: () => import('./image/ls.ts') },
  'image pull': { summary: 'fetch a kernel from Debian or Ubuntu', load: () => import('./image/pull.ts') },
  'image import': { summary: 'add a kernel of your own', load: () => import('./image/import.ts') },
  'image rm': { summary: 'remove kernel images', load: () => import('./image/rm.ts') },
  'image prewarm': {
    summary: 'build the template that makes starts fast',
    load: () => import('./image/prewarm.ts'),
  },
  doctor: {
    summary: 'what this machine can do, what is missing, how to get it',
    load: () => import('./daemon/doctor.ts'),
  },
  daemon: {
    summary: 'run the daemon (it is started by itself when needed)',
    load: () => import('./daemon/daemon.ts'),
  },
  completion: {
    summary: 'print a completion script for bash, zsh or fish',
    load: () => import('./daemon/completion.ts'),
  },
  version: { summary: 'show the version of pk and of the daemon', load: () => import('./daemon/version.ts') },
};

/** The second words of the commands grouped under `word` (`image` gives `ls`, `pull`, ...); empty for any other word. */
export const commandsOf = (word: string): string[] =>
  Object.keys(COMMANDS).flatMap((name) => (name.startsWith(`${word} `) ? [name.slice(word.length + 1)] : []));

/** Handled by bin/polykernel, before Node is known to be there. */
export const SETUP_SUMMARY = 'install what this machine lacks (idempotent)';
