/** `teleport SESSION`: brings a session's conversation into this checkout, where its agent can take it up. */
import { randomUUID } from "node:crypto"
import { resolve } from "node:path"
import * as GitRemote from "@causeway/client/GitRemote"
import * as Teleport from "@causeway/client/Teleport"
import { fromJson } from "@causeway/protocol/Payload"
import type * as Api from "@causeway/protocol/SessionsApi"
import { AgentSessions } from "@causeway/runner/Agent"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as AgentLayer from "../AgentLayer.ts"
import * as Agents from "../Agents.ts"
import * as Checkout from "../Checkout.ts"
import { ExitCode, Failure } from "../Failure.ts"
import * as Flags from "../Flags.ts"
import { Output } from "../Output.ts"
import * as Remote from "../Remote.ts"
import * as Session from "../Session.ts"

/** Where the session's code comes from, and on which branches its work may be: the likeliest first. */
const origin = (session: Api.Session) => {
  const { sources, outcomes } = session.session_context
  const text = (value: unknown) => (typeof value === "string" ? Option.some(value) : Option.none<string>())
  const source = (sources ?? []).find((each) => each["type"] === "git_repository")
  const branches = (outcomes ?? []).flatMap((outcome) => {
    const info = outcome["git_info"]
    const listed = typeof info === "object" && info !== null && "branches" in info ? info.branches : []
    return Array.isArray(listed) ? listed.filter((branch) => typeof branch === "string") : []
  })
  return {
    remote: Option.flatMap(Option.fromNullable(source), (each) =>
      Option.flatMap(text(each["url"]), GitRemote.parse)
    ),
    branches: [
      ...branches,
      ...Option.toArray(Option.flatMap(Option.fromNullable(source), (each) => text(each["revision"])))
    ]
  }
}

/** Fails unless `dir` is a checkout of the session's repository; a session without one fits everywhere. */
const checkRepository = (dir: string, session: Api.Session) =>
  Effect.gen(function* () {
    const wanted = origin(session).remote
    if (Option.isNone(wanted)) return
    const { remote } = yield* Checkout.read(dir)
    const here = Option.flatMap(remote, GitRemote.parse)
    if (Option.isSome(here) && GitRemote.same(here.value, wanted.value)) return
    return yield* new Failure({
      message: `session ${session.id} belongs to ${GitRemote.toUrl(wanted.value)}, but ${dir} is ${Option.match(
        remote,
        {
          onNone: () => "no checkout of anything",
          onSome: (url) =>
            `a checkout of ${Option.match(here, { onNone: () => url, onSome: GitRemote.toUrl })}`
        }
      )}`,
      next: `clone ${GitRemote.toUrl(wanted.value)} and run this there, or name its directory with --dir`
    })
  })

/** Switches to the session's branch, where there is one and nothing is in the way. */
const checkOut = (dir: string, session: Api.Session) =>
  Effect.gen(function* () {
    const output = yield* Output
    const { branches, remote } = origin(session)
    if (Option.isNone(remote) || branches.length === 0) return Option.none<string>()
    if (!(yield* Checkout.fetch(dir)))
      yield* output.progress("origin cannot be reached: going on with what is here")
    const branch = yield* Effect.findFirst(branches, (each) => Checkout.hasBranch(dir, each))
    if (Option.isNone(branch)) {
      yield* output.progress(`none of the session's branches is here: ${branches.join(", ")}`)
      return branch
    }
    const { branch: current } = yield* Checkout.read(dir)
    if (Option.isSome(current) && current.value === branch.value) return branch
    const changed = yield* Checkout.changes(dir)
    if (changed.length > 0) {
      return yield* new Failure({
        message: `cannot switch to ${branch.value}: ${changed.length} changed files are in the way: ${changed.slice(0, 5).join(", ")}${changed.length > 5 ? ", …" : ""}`,
        next: "commit or stash them, then run this again"
      })
    }
    const { code, err } = yield* Checkout.switchTo(dir, branch.value)
    if (code !== 0) return yield* new Failure({ message: `cannot switch to ${branch.value}: ${err.trim()}` })
    return branch
  })

export const teleport = Command.make(
  "teleport",
  {
    ...Flags.remote,
    dir: Options.text("dir").pipe(
      Options.withDefault("."),
      Options.withDescription("The checkout to bring it to")
    ),
    agent: Options.text("agent").pipe(
      Options.optional,
      Options.withDescription(
        "The agent that shall take it up (CAUSEWAY_AGENT; default: claude where it is installed)"
      )
    ),
    session: Args.text({ name: "session" })
  },
  ({ dir, agent, session, ...flags }) =>
    Effect.gen(function* () {
      const output = yield* Output
      const to = yield* Remote.address(flags)
      const cwd = resolve(dir)
      const found = yield* Session.find(session)
      const choice = yield* Agents.choose(agent)
      yield* checkRepository(cwd, found)
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
      const branch = yield* checkOut(cwd, found)
      const agentSessionId = randomUUID()
      const payloads = transcript.entries.flatMap((entry) =>
        Either.match(fromJson(entry.json, entry.text), { onLeft: () => [], onRight: (payload) => [payload] })
      )
      yield* Effect.flatMap(AgentSessions, (agents) =>
        agents.adopt({ agent: choice.agent, cwd, agentSessionId, env: undefined }, payloads)
      ).pipe(
        Effect.provide(AgentLayer.layer({ stateDir: to.stateDir, hubUrl: to.url })),
        Effect.mapError((error) => new Failure({ message: error.message }))
      )
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
        ...(resume === undefined ? {} : { resume })
      })
      yield* output.line(
        `${payloads.length} entries of ${found.id} are in ${cwd}${transcript.truncated ? " (the beginning of a longer transcript)" : ""}`
      )
      if (resume !== undefined) {
        yield* output.line("Take it up there with:")
        yield* output.line(`  cd ${JSON.stringify(cwd)} && ${resume}`, "strong")
      }
    }).pipe(Remote.withHub(flags))
).pipe(Command.withDescription("Bring a session into this checkout and say how its agent resumes it"))
