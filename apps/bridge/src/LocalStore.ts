/** The hub's database on this machine, for commands that operate it; whether the hub runs or not. */
import type { OrganizationId } from "@causeway/protocol/Ids"
import * as Audit from "@causeway/store/Audit"
import * as Author from "@causeway/store/Author"
import * as Database from "@causeway/store/Database"
import * as DeviceCodes from "@causeway/store/DeviceCodes"
import * as Devices from "@causeway/store/Devices"
import * as Organizations from "@causeway/store/Organizations"
import * as Tokens from "@causeway/store/Tokens"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Command from "./Cli/Command.ts"
import { Failure } from "./Failure.ts"
import * as Flags from "./Flags.ts"
import { Output } from "./Output.ts"
import * as Sqlite from "./Sqlite.ts"
import * as StateDirectory from "./StateDirectory.ts"

/** Whoever may read the state directory is its owner. */
const LOCAL = { kind: "client", id: "command-line", name: "command line", role: "owner" } as const

/** Runs on the database of the state directory. */
export const withDatabase =
  ({ stateDir }: { readonly stateDir: Option.Option<string> }) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      const directory = yield* StateDirectory.open(stateDir)
      yield* Sqlite.loaded
      const filename = StateDirectory.databaseFile(directory)
      yield* StateDirectory.reserve(filename)
      const store = Layer.mergeAll(
        Audit.layer,
        DeviceCodes.layer,
        Devices.layer,
        Organizations.layer,
        Tokens.layer
      ).pipe(Layer.provide(Database.layerSqlite({ filename })))
      return yield* effect.pipe(Effect.provide(store), Effect.locally(Author.current, LOCAL))
    }).pipe(
      Effect.mapError((error) =>
        error instanceof Failure
          ? error
          : Failure.failed(error instanceof Error ? error.message : String(error))
      )
    )

/** The organisation that the first start made. */
export const organization = Effect.gen(function* () {
  const organizations = yield* Organizations.Organizations
  const all = yield* organizations.list
  const first = all[0]
  if (first === undefined) {
    return yield* Failure.notFound(
      "this state directory has no organisation yet",
      "start the hub once: `node apps/bridge hub`"
    )
  }
  return first
})

/** A command on the database of the state directory, for the organisation that is in it. */
export const command = <const S extends Command.Shape, R>(
  name: string,
  description: string,
  shape: S,
  handler: (
    values: Command.Values<typeof Flags.common> & Command.Values<S>,
    organizationId: OrganizationId,
    output: typeof Output.Service
  ) => Effect.Effect<void, { readonly message: string }, R>
) =>
  Command.extend(Flags.common, name, description, shape, (values) =>
    Effect.flatMap(Effect.all([organization, Output]), ([{ id }, output]) =>
      handler(values, id, output)
    ).pipe(withDatabase(values))
  )
