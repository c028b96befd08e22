/** All commands, under the name of the program. */
import * as Command from "../Cli/Command.ts"
import { attach } from "./Attach.ts"
import { audit } from "./Audit.ts"
import { completions } from "./Completions.ts"
import { devices } from "./Devices.ts"
import { doctor } from "./Doctor.ts"
import { approve, deny, interrupt } from "./Drive.ts"
import { logs } from "./Logs.ts"
import { directories } from "./Manage.ts"
import { run } from "./Run.ts"
import { send } from "./Send.ts"
import { connect, hub, up } from "./Serve.ts"
import { sessions } from "./Sessions.ts"
import { teleport } from "./Teleport.ts"
import { token } from "./Token.ts"

export const NAME = "causeway"

export const commands = Command.group(
  NAME,
  "Keeps a coding agent attached. Without a command it does `up`.",
  [
    up,
    hub,
    connect,
    run,
    send,
    logs,
    attach,
    interrupt,
    approve,
    deny,
    sessions,
    directories,
    teleport,
    token,
    devices,
    audit,
    doctor,
    completions(NAME, (): Command.Command<unknown> => commands)
  ],
  up
)
