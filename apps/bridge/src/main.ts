#!/usr/bin/env node
/** The program: reads its command line, runs the command that it means, and says how that failed. */
import { scrub } from "@causeway/protocol/Scrub"
import * as Visible from "@causeway/protocol/Visible"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as LogLevel from "effect/LogLevel"
import * as Help from "./Cli/Help.ts"
import * as Parse from "./Cli/Parse.ts"
import { commands, NAME } from "./Commands/Commands.ts"
import * as Flags from "./Flags.ts"
import * as Output from "./Output.ts"
import { run } from "./Run.ts"
import { version } from "./version.ts"

const argv = process.argv.slice(2)
const end = argv.indexOf("--")
const json = (end === -1 ? argv : argv.slice(0, end)).includes("--json")

/** Whether a token stands among the arguments, where every program of this machine can read it. */
const isTokenTyped = (end === -1 ? argv : argv.slice(0, end)).some((word) => /^--token(=|$)/.test(word))
// As far as the system lets a program hide what it was called with: the arguments of the start are gone from `ps`.
if (isTokenTyped) process.title = `${NAME} (arguments hidden)`

const TOKEN_TYPED =
  "a token on the command line can be read by other programs (ps, the shell's history); --token-file FILE names a file that holds it"

/** Logs go to standard error, one line each. */
const logging = (level: LogLevel.LogLevel) =>
  Layer.merge(
    Logger.replace(
      Logger.defaultLogger,
      Logger.withConsoleError(Logger.map(Logger.logfmtLogger, (text) => Visible.text(scrub(text))))
    ),
    Logger.minimumLogLevel(level)
  )

const program = Effect.gen(function* () {
  const output = yield* Output.Output
  const meaning = yield* Parse.parse(commands, Flags.globals, argv, process.env)
  switch (meaning._tag) {
    case "Version":
      return yield* output.drawing([version])
    case "Help": {
      const lines = Help.render(NAME, Flags.globals, meaning.command, meaning.path, output.strong)
      return yield* output.drawing(lines)
    }
    case "Run": {
      const level = yield* meaning.global(Flags.logLevel)
      return yield* Effect.logDebug("command").pipe(
        Effect.annotateLogs({ module: "CommandLine", command: meaning.name, version, node: process.version }),
        Effect.zipRight(
          isTokenTyped ? (json ? Effect.logWarning(TOKEN_TYPED) : output.progress(TOKEN_TYPED)) : Effect.void
        ),
        Effect.zipRight(meaning.run),
        Effect.provide(logging(level))
      )
    }
  }
})

run(
  program.pipe(
    Effect.as(0),
    Effect.catchAll((error) =>
      Effect.flatMap(Output.Output, (output) => Effect.as(output.failure(error), error.exitCode))
    ),
    Effect.provide(Layer.merge(NodeContext.layer, Output.layer({ json })))
  )
)
