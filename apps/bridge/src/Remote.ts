/** A hub as commands reach it: its address, the token, and the client services over them. */
import * as ClientConfig from "@causeway/client/ClientConfig"
import type * as ClientError from "@causeway/client/ClientError"
import * as Credentials from "@causeway/client/Credentials"
import * as Environments from "@causeway/client/Environments"
import * as Ingress from "@causeway/client/Ingress"
import * as Sessions from "@causeway/client/Sessions"
import * as Teleport from "@causeway/client/Teleport"
import * as Viewer from "@causeway/client/Viewer"
import * as HubAddress from "@causeway/protocol/HubAddress"
import type * as FileLock from "@causeway/store/FileLock"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import { ExitCode, Failure } from "./Failure.ts"
import * as Network from "./Network/Network.ts"
import * as StateDirectory from "./StateDirectory.ts"

/** The flags of a command that talks to a hub. */
export interface Flags {
  readonly stateDir: Option.Option<string>
  readonly hub: Option.Option<string>
  readonly token: Option.Option<Redacted.Redacted>
}

/** Where the hub is and what to show it. */
export interface Address {
  readonly url: string
  readonly token: Redacted.Redacted
  readonly stateDir: string
}

/** Which hub is meant. */
export interface Place {
  readonly stateDir: string
  readonly url: Option.Option<string>
  /** The hub that runs on this state directory, where nobody named another. */
  readonly own: Option.Option<FileLock.Holder>
}

/** The flag first, then the environment, then what the state directory remembers. */
export const place = (flags: Flags): Effect.Effect<Place, Failure> =>
  Effect.gen(function* () {
    const stateDir = yield* StateDirectory.open(flags.stateDir)
    const variable = yield* Config.option(Config.nonEmptyString("CAUSEWAY_HUB_URL")).pipe(Effect.orDie)
    const named = Option.orElse(flags.hub, () => variable)
    const own = Option.isSome(named) ? Option.none() : yield* StateDirectory.runningHub(stateDir)
    return { stateDir, url: Option.orElse(named, () => Option.flatMapNullable(own, ({ url }) => url)), own }
  })

/** Where the hub is and what to show it: flags first, then the environment, then the state directory. */
export const address = (flags: Flags): Effect.Effect<Address, Failure> =>
  Effect.gen(function* () {
    const { stateDir, url } = yield* place(flags)
    const tokenVariable = yield* Config.option(Config.redacted("CAUSEWAY_TOKEN")).pipe(Effect.orDie)
    if (Option.isNone(url)) {
      return yield* new Failure({
        message: `no hub is known: none runs on ${stateDir}`,
        next: "start one with `node apps/bridge`, or name one with --hub or CAUSEWAY_HUB_URL"
      })
    }
    const read = HubAddress.parse(url.value)
    if (Either.isLeft(read)) {
      return yield* new Failure({ message: read.left, exitCode: ExitCode.usage })
    }
    const given = Option.orElse(flags.token, () => tokenVariable)
    const token = Option.isSome(given) ? given : yield* StateDirectory.readToken(stateDir)
    if (Option.isNone(token)) {
      return yield* new Failure({
        message: "no access token is known",
        next: "give one with --token or CAUSEWAY_TOKEN, or use the --state-dir of the hub",
        exitCode: ExitCode.refused
      })
    }
    return { url: read.right, token: token.value, stateDir }
  })

/** The client services, over an address. */
export const services = (to: Pick<Address, "url" | "token">) =>
  Layer.mergeAll(
    Sessions.layer,
    Environments.layer,
    Viewer.layer,
    Layer.provide(Teleport.layer, Ingress.layer())
  ).pipe(
    Layer.provideMerge(Credentials.layerStatic({ accessToken: to.token }, { organization: "token" })),
    Layer.provideMerge(ClientConfig.layer({ baseUrl: to.url })),
    Layer.provideMerge(Network.layer)
  )

/** Runs a command against the hub that its flags name. */
export const withHub =
  (flags: Flags) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.flatMap(address(flags), (to) =>
      effect.pipe(Effect.provide(services(to)), Effect.annotateLogs({ hub: to.url }))
    )

/** What a command's calls can end in. */
type CallFailure =
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
        return new Failure({
          message: error.message,
          next: "try again in a moment; if it stays, look at what stands between here and the hub, or name the hub's own address with --hub"
        })
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
      return new Failure({
        message: error.message,
        next: "give a valid token with --token or CAUSEWAY_TOKEN (`token create` on the hub's machine makes one)",
        exitCode: ExitCode.refused
      })
    case "SessionNotFound":
    case "TranscriptNotFound":
      return new Failure({
        message: error.message,
        next: "`sessions list` shows those that are there",
        exitCode: ExitCode.notFound
      })
    case "IdInvalid":
      return new Failure({ message: error.message, exitCode: ExitCode.usage })
    default:
      return new Failure({ message: error.message })
  }
}
