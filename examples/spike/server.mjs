/** Answers each request after WORK rounds of arithmetic. */
import { createServer } from 'node:http';

const rounds = Number(process.env.WORK) * 1e6;

function work() {
  let value = 1;
  for (let round = 0; round < rounds; round++) value = (value * 1_103_515_245 + 12_345) % 2_147_483_648;
  return value;
}

createServer((_, response) => response.end(`${work()}\n`)).listen(80);
