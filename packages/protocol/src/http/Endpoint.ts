/** Additions to the platform's endpoints: the mark of a hot one, and addresses. */
import * as Context from "effect/Context"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"

/** Annotation: answered on `node:http` itself, because it is called often, streams, or keeps the text that arrived. */
export class Hot extends Context.Tag("@causeway/protocol/http/Hot")<Hot, true>() {}

export const isHot = (endpoint: { readonly annotations: Context.Context<never> }): boolean =>
  Option.isSome(Context.getOption(endpoint.annotations as Context.Context<Hot>, Hot))

/** The part of an `HttpApiEndpoint` that describes requests. */
export interface Endpoint<Path = unknown, Query = unknown, Payload = unknown> {
  readonly method: string
  readonly path: string
  readonly pathSchema: Option.Option<Schema.Schema<Path, unknown>>
  readonly urlParamsSchema: Option.Option<Schema.Schema<Query, unknown>>
  readonly payloadSchema: Option.Option<Schema.Schema<Payload, unknown>>
}

type Value = string | number | boolean | undefined

/** Parameters of an address. Those of the query that are `undefined` are left out. */
export interface Parameters<Path, Query> {
  readonly path?: { readonly [K in keyof Path]: string }
  readonly query?: { readonly [K in keyof Query]?: Value }
}

/** The address of an endpoint below `base`, which ends without a slash. */
export const urlOf = <Path, Query>(
  base: string,
  endpoint: Pick<Endpoint<Path, Query>, "path" | "pathSchema" | "urlParamsSchema">,
  { path, query }: Parameters<Path, Query> = {}
): string => {
  const given: { readonly [name: string]: string } = { ...path }
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries<Value>({ ...query })) {
    if (value !== undefined) search.set(name, String(value))
  }
  const address = endpoint.path.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(given[name] ?? ""))
  return `${base}${address}${search.size === 0 ? "" : `?${search}`}`
}
