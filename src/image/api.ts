/** Kernel images in the API: what is asked, what is answered, and the routes. */
import { del, get, long, routes } from '../core/route.ts';
import { count, named, nothing, oneOf, record, text, time } from '../core/schema.ts';
import { prewarmRequest } from '../instance/api.ts';
import { IMAGE_KINDS } from './image.ts';
import { type ImageInfo, importRequest, pullRequest } from './requests.ts';

const image = named(
  'ImageInfo',
  record<ImageInfo>({
    name: text,
    digest: text,
    kind: oneOf(...IMAGE_KINDS),
    version: text,
    sizeBytes: count,
    source: text,
    createdAt: time,
  }),
);
const prewarmed = record<{ driver: string; image: string }>({ driver: text, image: text });

export const imageApi = routes('images', {
  images: get('/v1/images', { summary: 'All kernel images', list: 'images', answer: image }),
  removeImage: del('/v1/images/:name', { summary: 'Remove a kernel image', query: nothing }),
  pullImage: long('/v1/images/pull', {
    summary: "Get one of the distribution's kernels",
    body: pullRequest,
    argument: 'name',
    answer: image,
  }),
  importImage: long('/v1/images/import', {
    summary: 'Take in a kernel of your own',
    body: importRequest,
    answer: image,
  }),
  prewarm: long('/v1/images/prewarm', {
    summary: 'Make the template that later starts are cloned from',
    body: prewarmRequest,
    answer: prewarmed,
  }),
});
