/** `teleport SESSION`: brings a session's conversation into this checkout, where its agent can take it up. */
import { randomUUID } from "node:crypto"
import { resolve } from "node:path"
import * as SessionRepository from "@causeway/client/SessionRepository"
import * as Teleport from "@causeway/client/Teleport"
import * as Checkout from "@causeway/git/Checkout"
import * as Git from "@causeway/git/Git"
import type * as Api from "@causeway/protocol/http/Sessions"
import { fromJson } from "@causeway/protocol/Payload"
import { AgentSessions } from "@causeway/runner/Agent"
import * as Repairs from "@causeway/transcript/Repairs"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as AgentLayer from "../AgentLayer.ts"
import * as Agents from "../Agents.ts"
import * as Flag from "../Cli/Flag.ts"
import { asFailure, Failure } from "../Failure.ts"
import * as Flags from "../Flags.ts"
import { Output } from "../Output.ts"
import * as Remote from "../Remote.ts"
import * as Session from "../Session.ts"

/** What a person can do about a checkout that does not fit. */
const nextOf = (error: Checkout.CheckoutError): string | undefined => {
  switch (error._tag) {
    case "NotACheckout":
      return `clone ${error.expected} and run this there, or name its directory with --dir`
    case "WrongRepository":
      return `clone ${error.expected} and run this there, or name its directory with --dir; where it is the same repository under another address: --any-repository`
    case "TreeNotClean":
      return "commit or stash the changes, then run this again"
    default:
      return undefined
  }
}

/** What a person is told of a checkout that was prepared. */
const notesOf = (prepared: Checkout.Prepared): ReadonlyArray<string> => [
  ...(prepared.fetched ? [] : [`${prepared.remote} did not answer: going on with what is here`]),
  ...(prepared.upToDate ? [] : [`${prepared.branch} lacks commits of ${prepared.remote}`]),
  ...(prepared.note === undefined ? [] : [prepared.note]),
  ...(prepared.leftBehind === undefined ? [] : [Checkout.keeping(prepared.leftBehind)])
]

/** Makes `dir` show the session's branch, where the session works on a repository. */
const checkOut = (dir: string, session: Api.Session, anyRepository: boolean) =>
  Effect.gen(function* () {
    const output = yield* Output
    const wanted = yield* SessionRepository.of({
      environmentId: Option.fromNullable(session.environment_id),
      raw: { ...session }
    })
    if (Option.isNone(wanted)) {
      yield* output.progress(`the session names no repository: whether ${dir} belongs to it was not checked`)
      return null
    }
    const prepared = yield* Checkout.prepare(dir, { ...wanted.value, anyRepository }).pipe(
      Effect.mapError((error) =>
        error._tag === "BranchNotFound" ? error : Failure.failed(error.message, nextOf(error))
      ),
      Effect.catchTag("BranchNotFound", ({ message }) =>
        Effect.as(output.progress(`${message}; staying where this checkout is`), undefined)
      )
    )
    if (prepared === undefined) return null
    yield* Effect.forEach(notesOf(prepared), output.progress, { discard: true })
    return prepared.branch
  }).pipe(Effect.provide(Git.layer(process.env)))

export const teleport = Session.command(
  "teleport",
  "Bring a session into this checkout, for its agent to resume",
  "read",
  {
    dir: Flag.text("dir", "DIR", "The checkout to bring it to (default: here)"),
    agent: Flags.agent,
    anyRepository: Flag.toggle("any-repository", "Even if its remotes name another repository")
  },
  (found, output, { agent: named, anyRepository, dir, ...flags }) =>
    Effect.gen(function* () {
      const to = yield* Remote.address(flags)
      const cwd = resolve(Option.getOrElse(dir, () => "."))
      const { agent } = yield* Agents.choose(named, false)
      const branch = yield* checkOut(cwd, found, anyRepository)
      const teleporter = yield* Teleport.Teleport
      yield* output.progress("reading the transcript")
      const { entries, truncated } = yield* teleporter.transcriptWithFallback(found.id)
      if (entries.length === 0) {
        return yield* Failure.notFound(`session ${found.id} has no transcript yet: there is nothing to bring`)
      }
      const agentSessionId = randomUUID()
      const payloads = entries.flatMap(({ json, text }) =>
        Option.toArray(Either.getRight(fromJson(json, text)))
      )
      const adopted = yield* Effect.flatMap(AgentSessions, (agents) =>
        agents.adopt({ agent, cwd, agentSessionId, env: undefined }, payloads)
      ).pipe(
        Effect.provide(AgentLayer.layer({ stateDir: to.stateDir, hubUrl: to.url })),
        Effect.mapError(asFailure)
      )
      const repaired = Option.getOrElse(adopted, () => Repairs.none)
      const resume = agent === "claude" ? `claude --resume ${agentSessionId}` : undefined
      yield* output.tell(
        {
          event: "teleported",
          session_id: found.id,
          agent,
          agent_session_id: agentSessionId,
          directory: cwd,
          branch,
          entries: payloads.length,
          unreadable: entries.length - payloads.length,
          truncated,
          repaired,
          resume
        },
        `${payloads.length} entries of ${found.id} are in ${cwd}${truncated ? " (the beginning of a longer transcript)" : ""}`
      )
      const mended = Repairs.describe(repaired)
      if (mended !== null) yield* output.line(`Mended so that a model takes it: ${mended}`, "warn")
      if (resume !== undefined) {
        yield* output.line("Take it up there with:")
        yield* output.line(`  cd ${Git.quote(cwd)} && ${resume}`, "strong")
      }
    })
)
