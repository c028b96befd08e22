/** The calls by which a bridge gets its environment and its sessions, tried until they are answered. */
import * as Backoff from "@causeway/client/Backoff"
import * as ClientError from "@causeway/client/ClientError"
import * as Environments from "@causeway/client/Environments"
import * as Sessions from "@causeway/client/Sessions"
import * as EnvironmentCapabilities from "@causeway/protocol/EnvironmentCapabilities"
import * as EnvironmentFiles from "@causeway/protocol/EnvironmentFiles"
import { type EnvironmentId, type SessionId, toCompat } from "@causeway/protocol/Ids"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import { BridgeEvent } from "../BridgeEvent.ts"
import type { Config } from "../Config.ts"

/** Tried again while the failure is transient: for as long as the poll schedule allows. */
export const untilGivenUp = <A, E extends { readonly _tag: string }>(
  call: Effect.Effect<A, E>
): Effect.Effect<A, E> => Effect.retry(call, { while: ClientError.isTransient, schedule: Backoff.poll })

/** The same for ever. */
export const untilAnswered = <A, E extends { readonly _tag: string }>(
  call: Effect.Effect<A, E>
): Effect.Effect<A, E> => Effect.retry(call, { while: ClientError.isTransient, schedule: Backoff.uploads })

export interface Registrar {
  /** Registers the directory, asking for the environment it had. */
  readonly register: (
    reuse: EnvironmentId | undefined
  ) => Effect.Effect<Environments.Registered, ClientError.AccessError>
  /** Makes a session; the id is in the compat spelling. */
  readonly create: (
    environmentId: EnvironmentId,
    title: string | undefined
  ) => Effect.Effect<SessionId, ClientError.AccessError>
  /** Why a session cannot be worked on any more; `None` where it can. One attempt. */
  readonly whyDead: (id: SessionId) => Effect.Effect<Option.Option<string>, ClientError.AccessError>
  /** Whether some worker is attached to a session now, as far as the hub tells. One attempt. */
  readonly isAttached: (
    id: SessionId
  ) => Effect.Effect<boolean, ClientError.AccessError | ClientError.SessionNotFound>
  /**
   * Asks the hub to offer a session's work here, until it answers. Where it refuses, `refused` is told why the session
   * is dead, if it is.
   */
  readonly askForWork: <E>(
    environmentId: EnvironmentId,
    id: SessionId,
    refused: (dead: Option.Option<string>, detail: string) => Effect.Effect<void, E>
  ) => Effect.Effect<void, ClientError.AccessError | E>
}

export const make = (
  config: Config,
  capabilities: EnvironmentCapabilities.EnvironmentCapabilities,
  emit: (event: BridgeEvent) => Effect.Effect<void>
): Effect.Effect<Registrar, never, Environments.Environments | Sessions.Sessions> =>
  Effect.gen(function* () {
    const environments = yield* Environments.Environments
    const sessions = yield* Sessions.Sessions

    const register = (reuseEnvironmentId: EnvironmentId | undefined) =>
      Effect.gen(function* () {
        const failures = yield* Ref.make(0)
        const delayed = (error: { readonly _tag: string; readonly message: string }) =>
          ClientError.isTransient(error)
            ? Effect.flatMap(
                Ref.updateAndGet(failures, (n) => n + 1),
                (n) => emit(BridgeEvent.StartDelayed({ why: error.message, retryIn: Backoff.pollDelay(n) }))
              )
            : Effect.void
        const registered = yield* environments
          .register({
            machineName: config.machineName,
            directory: config.dir,
            branch: config.branch,
            gitRepoUrl: config.gitRepoUrl,
            maxSessions: config.maxSessions,
            workerType: config.workerType,
            metadata: {
              ...EnvironmentCapabilities.toMetadata(capabilities),
              ...EnvironmentFiles.toMetadata(config.files ?? [])
            },
            reuseEnvironmentId
          })
          .pipe(Effect.tapError(delayed), untilGivenUp)
        const { environmentId, reused } = registered
        yield* emit(BridgeEvent.Registered({ environmentId, reused }))
        return registered
      })

    const create = (environmentId: EnvironmentId, title: string | undefined) =>
      sessions
        .create({
          environmentId,
          title,
          events: config.initialEvents ?? [],
          gitRepoUrl: config.gitRepoUrl,
          branch: config.branch,
          model: config.model,
          permissionMode: config.permissionMode
        })
        .pipe(
          Effect.retry({
            // An answer that cannot be read may stand for a session that was made.
            while: (error) => error._tag !== "InvalidResponse" && ClientError.isTransient(error),
            schedule: Backoff.poll
          }),
          Effect.map(toCompat)
        )

    const whyDead = (id: SessionId) =>
      sessions.get(id).pipe(
        Effect.map(({ archivedAt }) => Option.map(archivedAt, () => "it is archived")),
        Effect.catchTag("SessionNotFound", () => Effect.succeedSome("the hub does not know it"))
      )

    const isAttached = (id: SessionId) =>
      Effect.map(sessions.get(id), ({ raw }) => raw["connection_status"] === "connected")

    const askForWork: Registrar["askForWork"] = (environmentId, id, refused) =>
      environments.reconnect(environmentId, id).pipe(
        untilAnswered,
        Effect.catchTags({
          SessionNotFound: (error) => Effect.succeed(error.message),
          SessionConflict: (error) => Effect.succeed(error.message),
          // The poll loop meets it too, and registers again; all sessions are asked for then.
          EnvironmentGone: () => Effect.void
        }),
        Effect.flatMap((refusal) =>
          refusal === undefined
            ? Effect.void
            : Effect.flatMap(untilAnswered(whyDead(id)), (dead) => refused(dead, refusal))
        )
      )

    return { register, create, whyDead, isAttached, askForWork }
  })
