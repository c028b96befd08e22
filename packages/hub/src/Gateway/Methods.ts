/**
 * The table of methods: name, scope, parameters and handler of each. What stands here is what `hello-ok` lists.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Method } from "./Method.ts"
import * as Administering from "./Methods/Administering.ts"
import * as Causeway from "./Methods/Causeway.ts"
import * as Compacting from "./Methods/Compacting.ts"
import * as Driving from "./Methods/Driving.ts"
import * as Health from "./Methods/Health.ts"
import * as Overview from "./Methods/Overview.ts"
import * as Pairing from "./Methods/Pairing.ts"
import * as Push from "./Methods/Push.ts"
import * as Reading from "./Methods/Reading.ts"
import * as Viewing from "./Methods/Viewing.ts"

export class GatewayMethods extends Context.Tag("@causeway/hub/GatewayMethods")<
  GatewayMethods,
  { readonly byName: ReadonlyMap<string, Method> }
>() {}

export const make = Effect.gen(function* () {
  const all: ReadonlyArray<Method> = [
    ...(yield* Reading.make),
    ...(yield* Driving.make),
    ...(yield* Administering.make),
    ...(yield* Compacting.make),
    ...(yield* Causeway.make),
    ...(yield* Viewing.make),
    ...(yield* Overview.make),
    ...(yield* Pairing.make),
    ...(yield* Health.make),
    ...(yield* Push.make)
  ]
  return GatewayMethods.of({ byName: new Map(all.map((each) => [each.name, each])) })
})

export const layer = Layer.effect(GatewayMethods, make)
