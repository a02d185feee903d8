/** For tests: a stack file with every option in it. */
import { type ParsedStack, parseStack } from './parse.ts';

export const parse = (text: string): ParsedStack => parseStack(text, { directory: '/srv/shop', defaultName: 'shop' });

export const FULL = `
name: full
pool: {cpus: 2-15, shared: "14,15", memory: {1: 2GiB, 0: 1GiB}, devices: ["0000:3B:00.0", "3c:00.1"]}
kernels:
  web:
    driver: qemu
    image: mine
    root: ./rootfs
    command: [node, server.js, 8080]
    environment: {PORT: 8080, DEBUG: true, EMPTY: ""}
    volumes: ["./data:/data:ro", {source: /srv/x, target: /x, readOnly: false, maySetId: true}]
    network: private
    publish: ["8080:80", "0.0.0.0:9000:90", "[::1]:8053:53/udp", "7000-7001:70-71", 75]
    cwd: /data
    user: 1000:100
    hostname: web.example
    restart: on-failure:3
    heal: hung
    priority: 5
    readyTimeout: 1m30s
    stopGrace: 5s
    healthcheck: {command: wget -q localhost, interval: 5s, timeout: 2s, retries: 2, startPeriod: 1m}
    append: loglevel=7
    initrd: ./early.cpio
    cold: true
    tenant: acme
    labels: {team: shop, tier: 1}
    partition:
      cpus: {count: 4, numa: 1, smt: any, cache: shared-l3, near: "0000:3b:00.0"}
      memory: {size: 2GiB, node: 1, hugePages: 2MiB}
      devices: ["0000:3b:00.0", {class: nvme, count: 2, function: virtual}]
  db: {command: [db], tenant: acme, partition: {cpus: "4-7", memory: {nodes: {0: 1GiB, 1: 1GiB}, hugePages: 1GiB}}}
  job: {command: echo hi, partition: {cpus: {shared: 0.5, weight: 200}, memory: 64MiB}}
  plain:
    command: [x]
    cpus: 2
    memory: 512M
    elastic: {cpus: {min: 1, max: 4}, memory: {min: 256M, max: 1GiB}}
    replicas: 2
  many: {command: [x], network: private, replicas: 2}
channels:
  orders: {from: web, to: db, size: 64KiB}
  hints: {to: web}
services:
  api:
    port: 8081
    bind: 0.0.0.0
    targets: [web, "many:80"]
    mode: http
    balance: leastconn
    check: /health
    slo: {latency: p99.9=1.5s, availability: 99.9}
`;
