/** The options of services in a stack file. */
import { type JsonSchema, type OptionTable, object, optionsOf, text } from '../core/stack-options.ts';

const port: JsonSchema = { type: 'integer', minimum: 1, maximum: 65_535 };

export const serviceOptions: OptionTable = {
  options: optionsOf([
    ['services', 'map of name to service', 'none', true, 'ports of this machine that lead to several kernels', object],
    ['services.*.port', 'port', 'required', true, 'TCP port of this machine', port],
    ['services.*.bind', 'address', '127.0.0.1', true, 'IP address of this machine', text],
    [
      'services.*.targets',
      'list of KERNEL or KERNEL:PORT',
      'required',
      true,
      'who gets the requests; a kernel with replicas stands for all of them',
      { type: 'array', items: text, minItems: 1 },
    ],
    ['services.*.mode', 'http or tcp', 'http', true, 'balance requests or connections', { enum: ['http', 'tcp'] }],
    [
      'services.*.balance',
      'random2, roundrobin or leastconn',
      'random2',
      true,
      'random2: the less loaded of two picked at random',
      { enum: ['random2', 'roundrobin', 'leastconn'] },
    ],
    ['services.*.check', 'path', 'it accepts connections', true, 'a healthy kernel answers it with 200 to 399', text],
    ['services.*.slo', 'map', 'none', true, 'what is promised', object],
    [
      'services.*.slo.latency',
      'pPERCENT=TIME',
      'none',
      true,
      'so many per cent of the requests take at most so long, such as p99=20ms',
      { type: 'string', pattern: '^p\\d{1,2}(\\.\\d{1,3})?=\\d{1,9}(\\.\\d{1,3})?(ms|s)$' },
    ],
    [
      'services.*.slo.availability',
      'number',
      'none',
      true,
      'so many per cent of the requests are answered, without a status of 500 and above',
      { type: 'number', minimum: 1, maximum: 99.9999 },
    ],
  ]),
};
