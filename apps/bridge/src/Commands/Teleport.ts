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
import * as Command from "../Cli/Command.ts"
import * as Flag from "../Cli/Flag.ts"
import { ExitCode, Failure } from "../Failure.ts"
import * as Flags from "../Flags.ts"
import { Output } from "../Output.ts"
import * as Remote from "../Remote.ts"
import * as Session from "../Session.ts"

const checkoutFailure = (error: Exclude<Checkout.CheckoutError, Checkout.BranchNotFound>) =>
  new Failure({
    message: error.message,
    ...(error._tag === "NotACheckout" || error._tag === "WrongRepository"
      ? {
          next: `clone ${error.expected} and run this there, or name its directory with --dir${
            error._tag === "WrongRepository"
              ? "; where it is the same repository under another address: --any-repository"
              : ""
          }`
        }
      : error._tag === "TreeNotClean"
        ? { next: "commit or stash the changes, then run this again" }
        : {})
  })

/** Makes `dir` show the session's branch, where the session works on a repository. */
const checkOut = (dir: string, session: Api.Session, anyRepository: boolean) =>
  Effect.gen(function* () {
    const output = yield* Output
    const wanted = yield* SessionRepository.of({
      environmentId: Option.fromNullable(session.environment_id),
      raw: { ...session }
    }).pipe(Effect.mapError(Remote.failure))
    if (Option.isNone(wanted)) {
      yield* output.progress(`the session names no repository: whether ${dir} belongs to it was not checked`)
      return Option.none<string>()
    }
    const prepared = yield* Checkout.prepare(dir, { ...wanted.value, anyRepository }).pipe(
      Effect.asSome,
      Effect.catchTag("BranchNotFound", (error) =>
        Effect.as(
          output.progress(`${error.message}; staying where this checkout is`),
          Option.none<Checkout.Prepared>()
        )
      ),
      Effect.mapError(checkoutFailure)
    )
    if (Option.isSome(prepared) && !prepared.value.fetched) {
      yield* output.progress(`${prepared.value.remote} did not answer: going on with what is here`)
    }
    if (Option.isSome(prepared) && !prepared.value.upToDate) {
      yield* output.progress(`${prepared.value.branch} lacks commits of ${prepared.value.remote}`)
    }
    if (Option.isSome(prepared) && prepared.value.note !== undefined) {
      yield* output.progress(prepared.value.note)
    }
    if (Option.isSome(prepared) && prepared.value.leftBehind !== undefined) {
      yield* output.progress(Checkout.keeping(prepared.value.leftBehind))
    }
    return Option.map(prepared, ({ branch }) => branch)
  }).pipe(Effect.provide(Git.layer(process.env)))

export const teleport = Command.make(
  "teleport",
  "Bring a session into this checkout, for its agent to resume",
  {
    ...Flags.remote,
    dir: Flag.withDefault(
      Flag.text("dir", { value: "DIR", description: "The checkout to bring it to (default: here)" }),
      "."
    ),
    agent: Flag.text("agent", {
      value: "AGENT",
      description: "The agent that takes it up (CAUSEWAY_AGENT)"
    }),
    anyRepository: Flag.toggle("any-repository", "Although its remotes name another repository"),
    session: Session.argument
  },
  ({ dir, agent, anyRepository, session, ...flags }) =>
    Effect.gen(function* () {
      const output = yield* Output
      const to = yield* Remote.address(flags)
      const cwd = resolve(dir)
      const found = yield* Session.find(session, { _tag: "read" })
      const choice = yield* Agents.choose(agent, false)
      const branch = yield* checkOut(cwd, found, anyRepository)
      const teleporter = yield* Teleport.Teleport
      yield* output.progress("reading the transcript")
      const transcript = yield* teleporter
        .transcriptWithFallback(found.id)
        .pipe(Effect.mapError(Remote.failure))
      if (transcript.entries.length === 0) {
        return yield* new Failure({
          message: `session ${found.id} has no transcript yet: there is nothing to bring`,
          exitCode: ExitCode.notFound
        })
      }
      const agentSessionId = randomUUID()
      const payloads = transcript.entries.flatMap((entry) =>
        Either.match(fromJson(entry.json, entry.text), { onLeft: () => [], onRight: (payload) => [payload] })
      )
      const adopted = yield* Effect.flatMap(AgentSessions, (agents) =>
        agents.adopt({ agent: choice.agent, cwd, agentSessionId, env: undefined }, payloads)
      ).pipe(
        Effect.provide(AgentLayer.layer({ stateDir: to.stateDir, hubUrl: to.url })),
        Effect.mapError((error) => new Failure({ message: error.message }))
      )
      const repairs = Option.getOrElse(adopted, () => Repairs.none)
      const resume = choice.agent === "claude" ? `claude --resume ${agentSessionId}` : undefined
      yield* output.value({
        event: "teleported",
        session_id: found.id,
        agent: choice.agent,
        agent_session_id: agentSessionId,
        directory: cwd,
        branch: Option.getOrNull(branch),
        entries: payloads.length,
        unreadable: transcript.entries.length - payloads.length,
        truncated: transcript.truncated,
        repaired: repairs,
        ...(resume === undefined ? {} : { resume })
      })
      yield* output.line(
        `${payloads.length} entries of ${found.id} are in ${cwd}${transcript.truncated ? " (the beginning of a longer transcript)" : ""}`
      )
      const mended = Repairs.describe(repairs)
      if (mended !== null) yield* output.line(`Mended so that a model takes it: ${mended}`, "warn")
      if (resume !== undefined) {
        yield* output.line("Take it up there with:")
        yield* output.line(`  cd ${Git.quote(cwd)} && ${resume}`, "strong")
      }
    }).pipe(Remote.withHub(flags))
)
