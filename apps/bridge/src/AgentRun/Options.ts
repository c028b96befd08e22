/** What the flags of `run` say about the agent, in the terms of the runner. */
import { readFile } from "node:fs/promises"
import { resolve } from "node:path"
import * as FileFailure from "@causeway/protocol/FileFailure"
import { AgentOptions } from "@causeway/runner/AgentOptions"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Failure } from "../Failure.ts"

export interface Flags {
  readonly model: Option.Option<string>
  readonly permissionMode: Option.Option<string>
  readonly maxTurns: Option.Option<number>
  readonly systemPrompt: Option.Option<string>
  readonly appendSystemPrompt: Option.Option<string>
  readonly mcpConfig: Option.Option<string>
  readonly addDir: ReadonlyArray<string>
  readonly allowedTools: ReadonlyArray<string>
  readonly disallowedTools: ReadonlyArray<string>
}

const Servers = Schema.parseJson(Schema.Struct({ mcpServers: AgentOptions.fields.mcpServers.from }))

/** The servers of an MCP configuration as Claude Code and others write it: `{"mcpServers":{NAME:{…}}}`. */
const mcpServers = (file: string) => {
  const unusable = (message: string) =>
    Failure.usage(message, '--mcp-config takes a file like {"mcpServers":{"NAME":{"command":"…","args":[]}}}')
  return Effect.tryPromise({
    try: () => readFile(file, "utf8"),
    catch: (cause) => unusable(FileFailure.describe(file, cause))
  }).pipe(
    Effect.flatMap((text) =>
      Effect.mapError(Schema.decode(Servers)(text), (error) =>
        unusable(`${file} is not an MCP configuration: ${error.message.split("\n")[0]}`)
      )
    ),
    Effect.map((read) => read.mcpServers)
  )
}

/** None where no flag says anything. */
export const of = (flags: Flags): Effect.Effect<AgentOptions | undefined, Failure> =>
  Effect.gen(function* () {
    const servers = Option.isSome(flags.mcpConfig) ? yield* mcpServers(flags.mcpConfig.value) : undefined
    const list = (values: ReadonlyArray<string>) => (values.length === 0 ? undefined : values)
    const given = Object.entries({
      model: Option.getOrUndefined(flags.model),
      permissionMode: Option.getOrUndefined(flags.permissionMode),
      maxTurns: Option.getOrUndefined(flags.maxTurns),
      systemPrompt: Option.getOrUndefined(flags.systemPrompt),
      appendSystemPrompt: Option.getOrUndefined(flags.appendSystemPrompt),
      allowedTools: list(flags.allowedTools),
      disallowedTools: list(flags.disallowedTools),
      additionalDirectories: list(flags.addDir.map((directory) => resolve(directory))),
      mcpServers: servers
    } satisfies AgentOptions).filter(([, value]) => value !== undefined)
    return given.length === 0 ? undefined : Object.fromEntries(given)
  })
