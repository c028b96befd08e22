/** The repository and branches that a session works on, as the hub tells them. */
import type { Wanted } from "@causeway/git/Checkout"
import * as Repository from "@causeway/git/Repository"
import type { Environment } from "@causeway/protocol/http/Environments"
import { EnvironmentId } from "@causeway/protocol/Ids"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Environments } from "./Environments.ts"
import type { Session } from "./Sessions.ts"

const Context = Schema.Struct({
  session_context: Schema.Struct({
    sources: Schema.optional(Schema.NullOr(Schema.Array(Schema.Unknown))),
    outcomes: Schema.optional(Schema.NullOr(Schema.Array(Schema.Unknown)))
  })
})
const Source = Schema.Struct({
  type: Schema.Literal("git_repository"),
  url: Schema.String,
  revision: Schema.optional(Schema.NullOr(Schema.String))
})
const Outcome = Schema.Struct({
  type: Schema.Literal("git_repository"),
  git_info: Schema.Struct({ branches: Schema.Array(Schema.String) })
})

const decode = <A, I>(schema: Schema.Schema<A, I>, values: ReadonlyArray<unknown> | null | undefined) =>
  (values ?? []).flatMap((value) =>
    Either.match(Schema.decodeUnknownEither(schema)(value), { onLeft: () => [], onRight: (found) => [found] })
  )

/**
 * What a checkout must show to go on with a session: the branches that its work goes to, then the one it began from. A
 * session that names no repository works in its environment's, on a branch that nobody tells. `None` where neither names one.
 */
export const wantedBy = (
  session: unknown,
  environment: Option.Option<Pick<Environment, "git_repo_url">>
): Option.Option<Wanted> => {
  const context = Option.map(
    Schema.decodeUnknownOption(Context)(session),
    ({ session_context }) => session_context
  )
  const named = Option.flatMap(context, ({ outcomes, sources }) => {
    const [source] = decode(Source, sources)
    if (source === undefined) return Option.none()
    return Option.map(Repository.parse(source.url), (repository) => ({
      repository,
      branches: [
        ...new Set([
          ...decode(Outcome, outcomes).flatMap(({ git_info }) => git_info.branches),
          ...(source.revision == null ? [] : [source.revision])
        ])
      ]
    }))
  })
  return Option.orElse(named, () =>
    Option.flatMap(environment, ({ git_repo_url }) =>
      Option.map(Repository.parse(git_repo_url ?? ""), (repository) => ({ repository, branches: [] }))
    )
  )
}

/** As {@link wantedBy}, asking the hub for the session's environment where the session names no repository. */
export const of = Effect.fn("SessionRepository.of")(function* (
  session: Pick<Session, "environmentId" | "raw">
) {
  const named = wantedBy(session.raw, Option.none())
  if (Option.isSome(named)) return named
  const id = Option.flatMap(session.environmentId, Schema.decodeUnknownOption(EnvironmentId))
  if (Option.isNone(id)) return Option.none<Wanted>()
  const environments = yield* Environments
  const environment: Option.Option<Environment> = yield* environments.get(id.value).pipe(
    Effect.asSome,
    // It is gone, and what it said of itself with it.
    Effect.catchTag("EnvironmentGone", () => Effect.succeedNone)
  )
  return wantedBy(session.raw, environment)
})
