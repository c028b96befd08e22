/** The table of who may call what (`Permissions`), as this hub enforces it. */
import * as Permissions from "@causeway/protocol/Permissions"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** The table; tests put another in its place. */
export class AccessTable extends Context.Reference<AccessTable>()("@causeway/hub/AccessTable", {
  defaultValue: (): {
    readonly endpoints: { readonly [group: string]: { readonly [endpoint: string]: Permissions.Line } }
    readonly methods: { readonly [method: string]: Permissions.MethodNeeds }
  } => ({ endpoints: Permissions.endpoints, methods: Permissions.methods })
}) {}

const keyOf = ({ method, path }: { readonly method: string; readonly path: string }): string =>
  `${method} ${path}`

/** Finds the line of a route; a route without one is a defect, which ends the start of the hub. */
export const lines = Effect.gen(function* () {
  const { endpoints } = yield* AccessTable
  const byRoute = new Map(Permissions.linesOf(endpoints).lines.map((each) => [keyOf(each), each.line]))
  return (route: { readonly method: string; readonly path: string }): Permissions.Line => {
    const line = byRoute.get(keyOf(route))
    if (line === undefined) throw new Error(`${keyOf(route)} has no line in the permission table`)
    return line
  }
})

/** Finds what a method of the gateway needs; one without a line is a defect, as for routes. */
export const needs = Effect.map(AccessTable, ({ methods }) => (name: string): Permissions.MethodNeeds => {
  const found = Object.hasOwn(methods, name) ? methods[name] : undefined
  if (found === undefined) throw new Error(`the method ${name} has no line in the permission table`)
  return found
})
