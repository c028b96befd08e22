/** A hub as commands reach it: its address, the token, and the client services over them. */
import * as ClientConfig from "@causeway/client/ClientConfig"
import type * as ClientError from "@causeway/client/ClientError"
import * as Credentials from "@causeway/client/Credentials"
import * as Environments from "@causeway/client/Environments"
import * as Ingress from "@causeway/client/Ingress"
import * as SessionManager from "@causeway/client/SessionManager"
import * as Sessions from "@causeway/client/Sessions"
import * as Teleport from "@causeway/client/Teleport"
import * as Viewer from "@causeway/client/Viewer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Command from "./Cli/Command.ts"
import { Failure } from "./Failure.ts"
import * as Flags from "./Flags.ts"
import * as Network from "./Network/Network.ts"
import { Output } from "./Output.ts"
import * as StateDirectory from "./StateDirectory.ts"

/** Where the hub is and what to show it. */
export interface Address {
  readonly url: string
  readonly token: Redacted.Redacted
  readonly stateDir: string
}

/** Which hub is meant: the named one, else the one that runs on this state directory. */
export const place = (flags: Flags.Remote) =>
  Effect.gen(function* () {
    const stateDir = yield* StateDirectory.open(flags.stateDir)
    const own = Option.isSome(flags.hub) ? Option.none() : yield* StateDirectory.runningHub(stateDir)
    const url = Option.orElse(flags.hub, () => Option.flatMapNullable(own, ({ url }) => url))
    return { stateDir, url, own }
  })

/** The token that flags or their variables give: itself, or in a file; none where they give none. */
const tokenGiven = (flags: Flags.Remote): Effect.Effect<Option.Option<Redacted.Redacted>, Failure> =>
  Effect.gen(function* () {
    if (Option.isSome(flags.token) || Option.isNone(flags.tokenFile)) return flags.token
    const file = flags.tokenFile.value
    const token = yield* StateDirectory.readSecret(file)
    if (Option.isSome(token)) return token
    return yield* Failure.usage(
      `${file} holds no token`,
      "write the token into it, or name another --token-file"
    )
  })

/** Where the hub is and what to show it; a token that is not given stands in the state directory. */
export const address = (flags: Flags.Remote): Effect.Effect<Address, Failure> =>
  Effect.gen(function* () {
    const { stateDir, url } = yield* place(flags)
    if (Option.isNone(url)) {
      return yield* Failure.failed(
        `no hub is running for the state directory ${stateDir}`,
        "start one with `node apps/bridge`, or name one with --hub or CAUSEWAY_HUB_URL"
      )
    }
    const given = yield* tokenGiven(flags)
    const token = Option.isSome(given) ? given : yield* StateDirectory.readToken(stateDir)
    if (Option.isNone(token)) {
      return yield* Failure.refused(
        "no access token found",
        "give one with --token-file or CAUSEWAY_TOKEN, or use the --state-dir of the hub"
      )
    }
    return { url: url.value, token: token.value, stateDir }
  })

/** The client services, over an address. */
export const services = (to: Pick<Address, "url" | "token">) =>
  Layer.mergeAll(
    SessionManager.layer,
    Sessions.layer,
    Environments.layer,
    Viewer.layer,
    Layer.provide(Teleport.layer, Ingress.layer())
  ).pipe(
    Layer.provideMerge(Credentials.layerStatic({ accessToken: to.token }, { organization: "token" })),
    Layer.provideMerge(ClientConfig.layer({ baseUrl: to.url })),
    Layer.provideMerge(Network.layer)
  )

/** What a command's calls can end in. */
export type CallFailure =
  | ClientError.AccessError
  | ClientError.SessionConflict
  | ClientError.SessionExpired
  | ClientError.SessionNotFound
  | ClientError.TranscriptNotFound
  | Failure

/** A client's error in a person's words, with the next step and the exit code. */
export const failure = (error: CallFailure): Failure => {
  switch (error._tag) {
    case "Failure":
      return error
    case "HubUnreachable":
      if (error.reason === "Intermediary") {
        return Failure.failed(
          error.message,
          "try again in a moment; if it persists, check the proxy between here and the hub, or name the hub's own address with --hub"
        )
      }
      return new Failure({
        message: error.message,
        ...(error.code === undefined || error.code === "ECONNREFUSED"
          ? { next: "start the hub with `node apps/bridge`, or name another with --hub" }
          : {})
      })
    case "AccessTokenMissing":
    case "OrganizationMissing":
    case "Unauthorized":
    case "SessionExpired":
      return Failure.refused(
        error.message,
        "give a valid token with --token-file or CAUSEWAY_TOKEN (`token create` on the hub's machine makes one)"
      )
    case "SessionNotFound":
    case "TranscriptNotFound":
      return Failure.notFound(error.message, "`sessions list` shows them")
    case "IdInvalid":
      return Failure.usage(error.message)
    default:
      return Failure.failed(error.message)
  }
}

/** Runs on the hub that the flags name. */
export const withHub =
  (flags: Flags.Remote) =>
  <A, R>(effect: Effect.Effect<A, CallFailure, R>) =>
    Effect.flatMap(address(flags), (to) =>
      effect.pipe(
        Effect.mapError(failure),
        Effect.provide(services(to)),
        Effect.annotateLogs({ hub: to.url })
      )
    )

/** A command that talks to a hub. */
export const command = <const S extends Command.Shape, R>(
  name: string,
  description: string,
  shape: S,
  handler: (
    values: Command.Values<typeof Flags.remote> & Command.Values<S>,
    output: typeof Output.Service
  ) => Effect.Effect<void, CallFailure, R>
) =>
  Command.extend(Flags.remote, name, description, shape, (values) =>
    Effect.flatMap(Output, (output) => handler(values, output)).pipe(withHub(values))
  )
