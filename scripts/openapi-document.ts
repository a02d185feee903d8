/** The description of the API, made from its routes by fastify's OpenAPI plugin. */
import { readFileSync } from 'node:fs';
import swagger from '@fastify/swagger';
import { type ApiContext, createApi } from '../src/api/index.ts';
import { errorBody } from '../src/api/schemas.ts';

/** As JSON text with a final line feed. */
export async function describeApi(): Promise<string> {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  // Routes are only registered, never called: nothing of the context is used.
  const server = createApi({} as ApiContext, (instance) => {
    void instance.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'Polykernel',
          version,
          description:
            'HTTP over the Unix socket daemon.sock of the state directory. An error answers {"error": Error}. ' +
            'docs/api.md describes the WebSocket streams /v1/instances/{name}/attach, exec and console.',
        },
        components: { schemas: { Error: errorBody as object } },
      },
    });
  });
  await server.ready();
  const document = (server as unknown as { swagger(): object }).swagger();
  await server.close();
  return `${JSON.stringify(document, null, 2)}\n`;
}
