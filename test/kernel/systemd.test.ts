/** The unit that `pk daemon install` writes, under this machine's systemd, booted in a guest: it serves, comes back and ends. */
import { existsSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { cacheDirectory } from '../../src/sys/paths.ts';
import { Sandbox } from '../support/pk.ts';

const SYSTEMD = '/usr/lib/systemd/systemd';
const HOME = '/var/lib/polykernel-test';

/** Asks systemd until it says so. */
const PROBE = `
until_is() {
  for try in $(seq 1 3000); do
    case "$(systemctl show polykernel -p ActiveState -p NRestarts)" in *"$1"*) return ;; esac
    sleep 0.1
  done
  echo "never $1"
}
serves() { [ "$(cat ${HOME}/daemon.lock)" = "$(systemctl show polykernel -p MainPID --value)" ] && [ -S ${HOME}/daemon.sock ] && echo serves; }
until_is ActiveState=active
systemctl show polykernel -p StatusText -p NRestarts
serves
kill -9 $(systemctl show polykernel -p MainPID --value)
until_is NRestarts=1
until_is ActiveState=active
serves
systemctl stop polykernel
systemctl show polykernel -p ActiveState -p Result
`;

const guest = (unit: string) => `
set -e
mkdir -p /etc/systemd/system && rm -rf /etc/systemd/system/*.wants
cat > /etc/systemd/system/polykernel.service <<'END'
${unit}
END
cat > /run/probe.sh <<'END'
${PROBE}
END
cat > /etc/systemd/system/probe.service <<'END'
[Unit]
Wants=polykernel.service
After=polykernel.service
[Service]
Type=oneshot
TimeoutStartSec=infinity
StandardOutput=file:/run/probe.out
StandardError=file:/run/probe.out
ExecStart=/bin/sh /run/probe.sh
ExecStopPost=/bin/sh -c 'echo over >> /run/probe.out'
END
unshare --pid --fork --mount-proc env -i container=other PATH="$PATH" ${SYSTEMD} --system --unit=probe.service \\
  --log-target=console --show-status=no > /run/systemd.log 2>&1 &
for try in $(seq 1 4500); do if grep -qs '^over' /run/probe.out; then cat /run/probe.out; exit 0; fi; sleep 0.1; done
cat /run/probe.out /run/systemd.log
exit 1
`;

it.runIf(process.getuid?.() === 0 && existsSync(SYSTEMD))(
  'serves, comes back after SIGKILL, and ends',
  async () => {
    const sandbox = await Sandbox.create({ POLYKERNEL_FAKE: '1' });
    onTestFinished(() => sandbox[Symbol.asyncDispose]());
    // The cache of this machine is nothing that a guest may see, and that daemon, which has no kernels, needs nothing of it.
    const unit = await sandbox.ok('daemon', 'install', '--print', '--home', HOME);
    const { POLYKERNEL_FAKE: _, ...env } = sandbox.env;
    const elsewhere = unit.replaceAll(cacheDirectory(), '/var/cache/polykernel-test');
    // However slow this machine is.
    const script = guest(
      elsewhere.replace(/^TimeoutStartSec=.*/m, 'TimeoutStartSec=1h').replace(/^WatchdogSec=.*/m, 'WatchdogSec=1h'),
    );
    const real = new Sandbox(sandbox.home, env);
    const { stdout, stderr, code } = await real.pk([
      ...['run', '--driver', 'uml', '--memory', '512M', '-w', '/', '--', 'sh', '-c', script],
    ]);
    expect([code, stderr]).toEqual([0, '']);
    const said = [
      'NRestarts=0',
      'StatusText=serving',
      'serves',
      'serves',
      'Result=success',
      'ActiveState=inactive',
      'over',
    ];
    expect(stdout.trim().split('\n').sort()).toEqual(said.sort());
  },
  600_000,
);
