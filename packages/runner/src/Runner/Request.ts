/** What is asked of a runner, and how it refuses. */
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Schema from "effect/Schema"
import type { AgentOptions } from "../AgentOptions.ts"
import type { Ceiling } from "../Ceiling.ts"
import type { Variables } from "../Environment.ts"
import type * as Settings from "./Settings.ts"
import type { SpawnMode } from "./SpawnMode.ts"
import { Status } from "./Status.ts"

export class RunNotFound extends Schema.TaggedError<RunNotFound>()("RunNotFound", { id: Schema.String }) {
  override get message(): string {
    return `there is no run ${this.id}`
  }
}

/** The run is not in a state in which this can be done. */
export class RunNotReady extends Schema.TaggedError<RunNotReady>()("RunNotReady", {
  id: Schema.String,
  status: Status,
  wanted: Schema.String
}) {
  override get message(): string {
    return `run ${this.id} is ${this.status}; ${this.wanted}`
  }
}

/** As many runs are going on as may. */
export class AtCapacity extends Schema.TaggedError<AtCapacity>()("AtCapacity", { capacity: Schema.Int }) {
  override get message(): string {
    return `${this.capacity} runs are going on already; stop one, or allow more`
  }
}

/** The question was answered otherwise before, or is not open any more. */
export class AnswerRefused extends Schema.TaggedError<AnswerRefused>()("AnswerRefused", {
  toolUseId: Schema.String,
  reason: Schema.Literal("Conflict", "NotOpen")
}) {
  override get message(): string {
    return this.reason === "Conflict"
      ? `${this.toolUseId} was answered otherwise before`
      : `${this.toolUseId} is not waiting for an answer`
  }
}

export interface LaunchSpec {
  readonly agent: string
  readonly directory: string
  /** Given to the agent over its stdin: a leading dash means nothing. */
  readonly query: string
  readonly title?: string | undefined
  readonly options?: AgentOptions | undefined
  readonly spawnMode?: SpawnMode | undefined
  readonly settings?: Settings.SettingsPatch | undefined
}

/** A run that goes on from another; what is left out it inherits. */
export interface ContinueSpec {
  readonly query: string
  readonly title?: string | undefined
  /** Over the old run's options, one by one. */
  readonly options?: AgentOptions | undefined
}

/** A person's answer to a question. The comment of a refusal reaches the agent. */
export type Decision =
  | {
      readonly behavior: "allow"
      readonly updatedInput?: JsonObject | undefined
      /** Rules to remember, as the agent suggested them. */
      readonly updatedPermissions?: ReadonlyArray<unknown> | undefined
    }
  | { readonly behavior: "deny"; readonly message: string; readonly interrupt?: boolean | undefined }

export interface RunnerOptions {
  /** The journal: a SQLite file, or `:memory:`. */
  readonly file: string
  /** Events that are kept for watchers that come back, at least. Default 20,000. */
  readonly keptEvents?: number | undefined
  /** Runs at one time. Default 8. */
  readonly capacity?: number | undefined
  /** The most that runs may be asked for; default: everything, as its program's own person asks. */
  readonly ceiling?: Ceiling | undefined
  /** Where worktrees are made; without it there is no spawn mode `worktree`. */
  readonly worktrees?: string | undefined
  /** The host's environment, for git. */
  readonly environment?: Variables | undefined
  /**
   * What becomes of runs that a crash of the host has left: `resume` (default) takes them up again under their ids,
   * `fail` ends them.
   */
  readonly recovery?: "resume" | "fail" | undefined
}
