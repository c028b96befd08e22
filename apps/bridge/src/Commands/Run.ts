/** `run PROMPT`: the engine alone. An agent works here on one prompt, without a hub, until its result. */
import * as MachinePolicy from "@causeway/bridge/MachinePolicy"
import * as Runner from "@causeway/runner/Runner"
import type { RunInfo } from "@causeway/runner/Runner/Run"
import * as Status from "@causeway/runner/Runner/Status"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as AgentLayer from "../AgentLayer.ts"
import * as Options from "../AgentRun/Options.ts"
import * as Permissions from "../AgentRun/Permissions.ts"
import * as Record from "../AgentRun/Record.ts"
import * as Transcript from "../AgentRun/Transcript.ts"
import * as Agents from "../Agents.ts"
import * as Argument from "../Cli/Argument.ts"
import * as Command from "../Cli/Command.ts"
import * as Flag from "../Cli/Flag.ts"
import { asFailure, ExitCode, Failure } from "../Failure.ts"
import * as Flags from "../Flags.ts"
import { Output } from "../Output.ts"
import { Shutdown } from "../Run.ts"
import * as Sandboxed from "../Sandboxed.ts"
import * as Sqlite from "../Sqlite.ts"
import * as StandardInput from "../StandardInput.ts"
import * as StateDirectory from "../StateDirectory.ts"

const interrupted = (told: boolean) =>
  new Failure({ message: "the run was interrupted", exitCode: ExitCode.interrupted, told })

/** Which agent works where; a run that is resumed keeps both. */
const agentOf = (
  flags: { readonly agent: Option.Option<string>; readonly dir: Option.Option<string> },
  parent: Option.Option<RunInfo>
) =>
  Effect.gen(function* () {
    const output = yield* Output
    if (Option.isSome(parent)) {
      const { agent, directory } = parent.value
      if (Option.isSome(flags.agent) || Option.isSome(flags.dir)) {
        return yield* Failure.usage(
          `run ${parent.value.id} goes on with its own agent (${agent}) in ${directory}`,
          "leave --agent and --dir out, or start a run of its own without --resume"
        )
      }
      return { agent, directory: yield* Agents.directory(Option.some(directory)), standsIn: false }
    }
    const { agent, guessed, standsIn } = yield* Agents.choose(flags.agent, Agents.attended(output))
    if (guessed) yield* output.progress(standsIn ? Agents.STANDS_IN : `agent: ${agent}`)
    const directory = yield* Agents.directory(flags.dir)
    return { agent, directory, standsIn }
  })

/** The last line for programs. */
const resultValue = (run: RunInfo) => ({
  event: "result",
  run_id: run.id,
  status: run.status,
  result: run.result,
  error: run.error,
  duration_ms: run.durationMillis,
  cost_usd: run.costUsd,
  usage: run.usage
})

/** Shows a run until its end, answers what it asks, and interrupts it when the person wants it to stop. */
const follow = (
  runner: typeof Runner.Runner.Service,
  { id }: RunInfo,
  transcript: Transcript.Transcript,
  permissions: Effect.Effect.Success<ReturnType<typeof Permissions.make>>
) =>
  Effect.gen(function* () {
    const shutdown = yield* Shutdown
    yield* shutdown.requested.pipe(
      Effect.zipRight(transcript.note("interrupting the turn (press Ctrl-C again to end at once)")),
      Effect.zipRight(runner.interrupt(id)),
      // It has ended meanwhile.
      Effect.catchTag("RunNotReady", () => Effect.void),
      Effect.forkScoped
    )
    const shown = runner.events().pipe(
      Stream.filter((event) => event.type !== "gap" && event.runId === id),
      Stream.takeUntil((event) => event.type === "status_changed" && Status.isTerminal(event.to)),
      Stream.runForEach((event) =>
        event.type === "gap"
          ? Effect.void
          : Effect.zipRight(transcript.event(event), permissions.event(event))
      )
    )
    const answering = permissions.answering((toolUseId, decision) =>
      // Somebody was faster, or the turn has ended.
      Effect.catchTag(runner.answer(id, toolUseId, decision), "AnswerRefused", () => Effect.void)
    )
    yield* Effect.raceFirst(shown, answering)
    return yield* runner.info(id)
  }).pipe(Effect.mapError(asFailure))

export const run = Command.make(
  "run",
  "Run an agent on one prompt here, without a hub",
  {
    ...Flags.common,
    dir: Flags.attaching.dir,
    agent: Flags.attaching.agent,
    model: Flags.attaching.model,
    permissionMode: Flags.attaching.permissionMode,
    passEnv: Flags.attaching.passEnv,
    sandbox: Flags.attaching.sandbox,
    ...Flags.agentOptions,
    allowEdits: Flag.toggle("allow-edits", "Allow edits of files without asking"),
    skipPermissions: Flag.toggle("dangerously-skip-permissions", "Allow everything"),
    resume: Flag.text("resume", "RUN", "Go on from an earlier run: its id, or latest"),
    prompt: Argument.text("PROMPT", "Task; - reads standard input; -- before a dash")
  },
  (flags) =>
    Effect.gen(function* () {
      const output = yield* Output
      const shutdown = yield* Shutdown
      const query = yield* StandardInput.message(flags.prompt)
      const options = yield* Options.of(flags)
      const stateDir = yield* StateDirectory.open(flags.stateDir)
      yield* Sqlite.loaded
      const record = yield* Record.open(stateDir, flags.resume)
      const standsIn = Option.isNone(flags.agent) && Option.isNone(flags.resume)
      const sandbox = yield* Sandboxed.of({
        asked: flags.sandbox,
        machine: yield* Effect.mapError(MachinePolicy.load(stateDir), asFailure),
        stateDir,
        dir: yield* Agents.directory(flags.dir),
        secrets: []
      })
      const runner = yield* Runner.layer({
        file: record.file,
        recovery: "fail",
        environment: process.env
      }).pipe(
        Layer.provide(
          AgentLayer.layer({ stateDir, passEnv: Option.getOrUndefined(flags.passEnv), sandbox, standsIn })
        ),
        Layer.build,
        Effect.map(Context.get(Runner.Runner)),
        Effect.mapError(asFailure)
      )
      const parent = yield* Effect.transposeMapOption(record.parent, runner.info).pipe(
        Effect.mapError(asFailure)
      )
      const { agent, directory } = yield* agentOf(flags, parent)
      yield* Agents.installed(agent, directory)

      const { allowEdits: autoAcceptEdits, skipPermissions } = flags
      const transcript = yield* Transcript.make
      const permissions = yield* Permissions.make({
        transcript,
        settings: { auto_accept_edits: autoAcceptEdits, skip_permissions: skipPermissions },
        canAsk: flags.prompt !== "-" && Permissions.canAsk(output.json)
      })
      yield* Effect.forkScoped(Stream.runForEach(runner.partials, transcript.partial))
      const spec = {
        query,
        options
      }
      const settings = { autoAcceptEdits, skipPermissions }
      const started = yield* Effect.raceFirst(
        Option.match(parent, {
          onNone: () => runner.launch({ ...spec, agent, directory, settings }),
          // What was allowed ahead in the earlier run is not allowed in this one.
          onSome: ({ id }) => Effect.zipRight(runner.settings(id, settings), runner.continue(id, spec))
        }).pipe(Effect.mapError(asFailure)),
        Effect.zipRight(shutdown.requested, interrupted(output.json))
      )
      yield* record.note(started.id)
      yield* output.value({ event: "started", run_id: started.id, agent, directory })
      const ended = yield* follow(runner, started, transcript, permissions)

      if (ended.result !== null && !(yield* transcript.spoke)) yield* output.line(ended.result)
      yield* transcript.note(`\`run --resume ${ended.id} PROMPT\` goes on from here`)
      yield* output.value(resultValue(ended))
      if (ended.status === "interrupted") return yield* interrupted(output.json)
      if (ended.status !== "completed") {
        return yield* new Failure({ message: ended.error ?? "the turn failed", told: output.json })
      }
    }).pipe(Effect.scoped)
)
