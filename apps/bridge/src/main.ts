#!/usr/bin/env node
/** The command line: the commands, how their failures end the program, and nothing else. */
import * as Command from "@effect/cli/Command"
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { attach } from "./Commands/Attach.ts"
import { devices } from "./Commands/Devices.ts"
import { doctor } from "./Commands/Doctor.ts"
import { approve, deny, interrupt } from "./Commands/Drive.ts"
import { logs } from "./Commands/Logs.ts"
import { send } from "./Commands/Send.ts"
import { connect, hub, root, up } from "./Commands/Serve.ts"
import { sessions } from "./Commands/Sessions.ts"
import { teleport } from "./Commands/Teleport.ts"
import { token } from "./Commands/Token.ts"
import { ExitCode } from "./Failure.ts"
import * as LogLevel from "./LogLevel.ts"
import * as Output from "./Output.ts"
import { run } from "./Run.ts"
import { version } from "./version.ts"

const arguments_ = process.argv.slice(2)
const end = arguments_.indexOf("--")
const json = (end === -1 ? arguments_ : arguments_.slice(0, end)).includes("--json")

const causeway = root.pipe(
  Command.withDescription("Keeps a coding agent attached. Without a command: up"),
  Command.withSubcommands([
    up,
    hub,
    connect,
    send,
    logs,
    attach,
    interrupt,
    approve,
    deny,
    sessions,
    teleport,
    token,
    devices,
    doctor
  ])
)

const program = Command.run(causeway, { name: "causeway", version })(process.argv).pipe(
  Effect.as(0),
  Effect.catchAll((error) =>
    ValidationError.isValidationError(error)
      ? Effect.succeed(ValidationError.isHelpRequested(error) ? 0 : ExitCode.usage)
      : Effect.flatMap(Output.Output, (output) => Effect.as(output.failure(error), error.exitCode))
  ),
  Effect.provide(Layer.mergeAll(NodeContext.layer, Output.layer({ json }), LogLevel.layer)),
  Effect.provide(Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.logfmtLogger)))
)

run(program)
