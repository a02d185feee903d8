/** Lines that fingers know, as far as they are understood before the daemon is asked. */
import { describe, expect, it } from 'vitest';
import { loadCommand } from '../commands.ts';
import { parse } from './command.ts';
import { optionHabit, wordHabit } from './habits.ts';
import { NOUN_OF } from './names.ts';

const UNDERSTOOD = [
  'run -it --rm -p 8080:80 -v /tmp:/w -w /w -e A=b --name x --hostname h sh -c "ls -l"',
  'run -dit --restart=always --name=x -m 512m --cpus 2 -l team=a --label tier=1 sleep 1',
  'run -d -p8080:80 -p 127.0.0.1:53:53/udp --network none --env-file f -u 1000:1000 nginx -g daemon',
  'run --user nobody --workdir=/tmp --quiet --health-cmd true --health-interval 5s true',
  'ps',
  'ps -aq',
  'ps -a --no-trunc',
  'ps -n 3',
  'ps --filter name=web -f status=exited --format {{.Names}}',
  'exec -it web sh',
  'exec -d -e A=1 -u root -w /tmp web env -i x',
  'logs -f --tail 20 -t web',
  'logs web -f',
  'logs --tail -1 web',
  'logs --since 5m --until 1m -n 20 web',
  'inspect web db -f {{.State.Status}}',
  'stop -t 3 a b',
  'stop web --time=0',
  'restart -t 1 web',
  'start a b',
  'kill -s HUP web',
  'kill --signal=KILL web',
  'rm -f a b',
  'pause web',
  'wait web',
  'port web 80/tcp',
  'top web -o pid,args',
  'stats --no-stream --format json web',
  'stats -a',
  'cp web:/etc/x -',
  'cp -aLq - web:/srv',
  'update --cpus 2 -m 1g web',
  'events --since 10m -f',
  'image ls -q --filter reference=x',
  'image pull debian:uml',
  'image rm a b',
  'version',
];

it.each(UNDERSTOOD)('pk %s is understood', async (line) => {
  const words = line.split(' ');
  const name = Object.hasOwn(NOUN_OF, words[0]!) ? words[0]! : words.slice(0, 2).join(' ');
  const command = await loadCommand(NOUN_OF[name]!, name);
  expect(() => parse(name, command, words.slice(name.split(' ').length))).not.toThrow();
});

describe('what to type instead is said of', () => {
  it.each([
    'run --entrypoint sh true',
    'run --read-only true',
    'run --tmpfs /x true',
    'run --ulimit nofile=1:1 true',
    'run --init true',
    'run --privileged true',
    'run --cap-add ALL true',
    'run --network host true',
    'run --network=bridge true',
    'run --mount type=bind true',
    'run -P true',
    'run --gpus all true',
    'run --group-add x true',
    'exec --privileged web sh',
    'rm -fv web',
    'stop --timeout 3 web',
    'start -ai web',
    'ps -s',
    'diff web',
    'version -f x',
  ])('pk %s', async (line) => {
    const [name, ...args] = line.split(' ') as [string, ...string[]];
    const command = await loadCommand(NOUN_OF[name]!, name);
    const refused = (() => {
      try {
        parse(name, command, args);
      } catch (error) {
        return error as { what?: string };
      }
    })();
    expect(optionHabit(name, refused?.what ?? '')).toMatch(/\w/);
  });

  it.each([
    'commit web',
    'system prune',
    'system df',
    'info',
    'rename a b',
    'create x',
    'attach web',
    'build .',
    'compose up',
    'login',
    'volume ls',
    'network ls',
    'image prune',
    'image inspect x',
    'export web',
    'search x',
    'swarm init',
    'builder prune',
  ])('pk %s', (line) => {
    const [first, second] = line.split(' ');
    expect(NOUN_OF[first!]).toBeUndefined();
    expect(wordHabit(`${first} ${second}`) ?? wordHabit(first!)).toMatch(/\w/);
  });
});
