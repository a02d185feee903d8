/** The client's methods that are made from the routes: what they take and give. Types alone, so that nothing is loaded for them. */
import type { AnswerOf, BodyOf, ParameterNames, QueryOf, Route } from '../core/route.ts';
import type { Routes } from './contracts.ts';

export type Progress = (text: string) => void;

/** One string for each parameter of the path that the body does not name. */
type Parameters<Names extends readonly string[], Body> = Names extends readonly [
  infer Name,
  ...infer Rest extends string[],
]
  ? Name extends keyof Body
    ? Parameters<Rest, Body>
    : [name: string, ...Parameters<Rest, Body>]
  : [];

/** The body or the query; it can be left out where all of it can. */
type Input<T> = keyof T extends never ? [] : Record<never, never> extends T ? [input?: T] : [input: T];

type InputOf<R> = R extends { argument: infer Name }
  ? [argument: BodyOf<R>[Name & keyof BodyOf<R>]]
  : R extends { body: unknown }
    ? Input<BodyOf<R>>
    : R extends { query: unknown }
      ? Input<QueryOf<R>>
      : [];

interface Results<R> {
  json: R extends { answer: unknown } ? Promise<AnswerOf<R>> : Promise<void>;
  long: Promise<AnswerOf<R>>;
  lines: AsyncGenerator<AnswerOf<R>>;
  events: AsyncGenerator<AnswerOf<R>>;
}

type Method<R extends Route> = (
  ...given: [
    ...Parameters<ParameterNames<R['path']>, BodyOf<R>>,
    ...InputOf<R>,
    ...(R['kind'] extends 'long' ? [progress?: Progress] : []),
    signal?: AbortSignal,
  ]
) => Results<R>[R['kind'] & keyof Results<R>];

/** Streams of bytes are methods written by hand. */
type Made = {
  [K in keyof Routes]: Routes[K] extends { kind: 'download' | 'upload' } ? never : K;
}[keyof Routes];

/** One method for each route that is no stream of bytes. All reject with PolykernelError. */
export type Calls = { readonly [K in Made]: Method<Routes[K]> };
