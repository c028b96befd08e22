/** Finds the route of a request. */
import { pathSegment } from "@causeway/protocol/Ids"
import type { HotRoute, Method } from "./HotRoutes.ts"
import * as PublicUrl from "./PublicUrl.ts"

interface Node {
  readonly literal: Map<string, Node>
  param: { readonly name: string; readonly node: Node } | undefined
  readonly routes: Map<Method, HotRoute>
}

const emptyNode = (): Node => ({ literal: new Map(), param: undefined, routes: new Map() })

export type Match =
  | {
      readonly _tag: "Found"
      readonly route: HotRoute
      readonly params: { readonly [name: string]: string }
    }
  | { readonly _tag: "InvalidParameter"; readonly name: string }
  | { readonly _tag: "OtherMethod"; readonly allow: ReadonlyArray<Method> }
  | { readonly _tag: "NotFound" }

export interface RouteTable {
  readonly match: (method: string, path: string) => Match
}

/** Builds the table. A literal segment goes before a `:name`. Two routes of one method and path are a defect. */
export const make = (routes: ReadonlyArray<HotRoute>): RouteTable => {
  const root = emptyNode()
  for (const each of routes) {
    let node = root
    for (const segment of each.path.split("/").slice(1)) {
      if (segment.startsWith(":")) {
        node.param ??= { name: segment.slice(1), node: emptyNode() }
        if (node.param.name !== segment.slice(1)) {
          throw new Error(`${each.path}: this segment is called :${node.param.name} by another route`)
        }
        node = node.param.node
      } else {
        const next = node.literal.get(segment) ?? emptyNode()
        node.literal.set(segment, next)
        node = next
      }
    }
    if (node.routes.has(each.method)) throw new Error(`${each.method} ${each.path} is routed twice`)
    node.routes.set(each.method, each)
  }

  const match = (method: string, path: string): Match => {
    const params: { [name: string]: string } = {}
    let node = root
    let invalid: string | undefined
    for (const segment of path.split("/").slice(1)) {
      const literal = node.literal.get(segment)
      if (literal !== undefined) {
        node = literal
      } else if (node.param !== undefined) {
        if (!pathSegment.test(segment)) invalid ??= node.param.name
        params[node.param.name] = segment
        node = node.param.node
      } else {
        return { _tag: "NotFound" }
      }
    }
    if (node.routes.size === 0) return { _tag: "NotFound" }
    const route = node.routes.get(method as Method)
    if (route === undefined) return { _tag: "OtherMethod", allow: [...node.routes.keys()] }
    return invalid === undefined
      ? { _tag: "Found", route, params }
      : { _tag: "InvalidParameter", name: invalid }
  }
  return { match }
}

/** Where a request leads, the query included; `moved`: to the same with a slash at its end, without which nothing beside it is found. */
type Routed =
  | { readonly _tag: "Here"; readonly url: string; readonly match: Match }
  | { readonly _tag: "Moved"; readonly location: string }

/**
 * Finds the route of a request. A proxy may have taken the base path off or not: what is no route as it stands is looked up
 * behind it.
 */
export const find = (table: RouteTable, base: string, method: string, url: string): Routed => {
  const mark = url.indexOf("?")
  const path = mark === -1 ? url : url.slice(0, mark)
  const query = mark === -1 ? "" : url.slice(mark)
  const match = table.match(method, path)
  const behind = match._tag === "NotFound" ? PublicUrl.within(base, path) : undefined
  if (behind === undefined) return { _tag: "Here", url, match }
  if (behind === "" && (method === "GET" || method === "HEAD")) {
    return { _tag: "Moved", location: `${base}/${query}` }
  }
  const rest = behind === "" ? "/" : behind
  return { _tag: "Here", url: `${rest}${query}`, match: table.match(method, rest) }
}
