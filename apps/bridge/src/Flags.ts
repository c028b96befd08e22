/** The flags that several commands share. Each falls back to an environment variable where one is named. */

import * as Networks from "@causeway/hub/Networks"
import * as Contact from "@causeway/hub/Push/Contact"
import * as ChildEnvironment from "@causeway/protocol/ChildEnvironment"
import * as HubAddress from "@causeway/protocol/HubAddress"
import * as Ceiling from "@causeway/runner/Ceiling"
import { SpawnMode } from "@causeway/runner/Runner/SpawnMode"
import * as Either from "effect/Either"
import * as LogLevel from "effect/LogLevel"
import * as Text from "effect/String"
import * as Agents from "./Agents.ts"
import type * as Command from "./Cli/Command.ts"
import * as Flag from "./Cli/Flag.ts"

/** From the least to say to the most; warnings and worse where nobody asks for another one. */
export const logLevel = Flag.map(
  Flag.withDefault(
    Flag.orVariable(
      "CAUSEWAY_LOG_LEVEL",
      Flag.choice(
        "log-level",
        "LEVEL",
        ["none", "fatal", "error", "warning", "info", "debug", "trace", "all"],
        "How much is logged (CAUSEWAY_LOG_LEVEL)"
      )
    ),
    "warning"
  ),
  (name) => LogLevel.fromLiteral(Text.capitalize(name))
)

/** What the program itself reads, whatever the command. */
export const globals = [
  logLevel,
  Flag.toggle("help", "Show the help of a command", "h"),
  Flag.toggle("version", "Show the version", "V")
]

export const stateDir = Flag.orVariable(
  "CAUSEWAY_STATE_DIR",
  Flag.text("state-dir", "DIR", "Where data is kept (CAUSEWAY_STATE_DIR)")
)

export const json = Flag.toggle("json", "Print one JSON value per line, for programs")

const hub = Flag.orVariable(
  "CAUSEWAY_HUB_URL",
  Flag.parsed("hub", "URL", "Address of the hub (CAUSEWAY_HUB_URL)", HubAddress.parse)
)

const token = Flag.orVariable(
  "CAUSEWAY_TOKEN",
  Flag.redacted("token", "TOKEN", "Access token (CAUSEWAY_TOKEN)")
)

const tokenFile = Flag.orVariable(
  "CAUSEWAY_TOKEN_FILE",
  Flag.text("token-file", "FILE", "File with the access token (CAUSEWAY_TOKEN_FILE)")
)

/** Every command takes these. */
export const common = { stateDir, json }

/** Commands that talk to a hub. */
export const remote = { ...common, hub, token, tokenFile }
export type Remote = Omit<Command.Values<typeof remote>, "json">

/** Commands that serve a hub. */
export const serving = {
  host: Flag.text("host", "ADDRESS", "Listen here (default: 127.0.0.1, this machine)"),
  port: Flag.integer("port", "PORT", [0, 65_535], "Listen on this port (default: 4750; 0: a free one)"),
  trustedNetwork: Flag.toggle(
    "trusted-network",
    "Listen beyond this machine without TLS: you trust the network"
  ),
  behindProxy: Flag.toggle("behind-proxy", "A proxy in front of --host encrypts (TLS)"),
  tlsCert: Flag.text("tls-cert", "FILE", "Certificate (PEM) for TLS of the hub's own"),
  tlsKey: Flag.text("tls-key", "FILE", "Its private key (PEM)"),
  withoutAuthentication: Flag.toggle(
    "dangerously-without-authentication",
    'Take "mode": "none" of gateway.json: let in everyone on this machine'
  ),
  publicUrl: Flag.orVariable(
    "CAUSEWAY_PUBLIC_URL",
    Flag.parsed("public-url", "URL", "Where others reach it (CAUSEWAY_PUBLIC_URL)", HubAddress.parse)
  ),
  trustedProxy: Flag.orVariable(
    "CAUSEWAY_TRUSTED_PROXY",
    Flag.list("trusted-proxy", "ADDRESS", "Trust the headers of this proxy or network; repeat", (texts) =>
      Networks.parse(texts.flatMap((text) => text.split(/[\s,]+/)).filter((text) => text !== ""))
    ),
    /[\s,]+/
  ),
  allowedHost: Flag.orVariable(
    "CAUSEWAY_ALLOWED_HOST",
    Flag.list("allowed-host", "NAME", "Answer under this name too; can be repeated", (texts) => {
      const names = texts.flatMap((text) => text.split(/[\s,]+/)).filter((text) => text !== "")
      const odd = names.find((name) => !/^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/i.test(name))
      return odd === undefined
        ? Either.right(names)
        : Either.left(`${JSON.stringify(odd)} is not a host name; give it without scheme and port`)
    }),
    /[\s,]+/
  ),
  pushContact: Flag.orVariable(
    "CAUSEWAY_PUSH_CONTACT",
    Flag.parsed("push-contact", "ADDRESS", "Your e-mail or https address, for push services", Contact.parse)
  ),
  databaseUrl: Flag.orVariable(
    "CAUSEWAY_DATABASE_URL",
    Flag.parsed("database-url", "URL", "sqlite:FILE (default: in the state directory)", (url) => {
      const file = /^sqlite:(?:\/\/(?=\/))?(.+)$/s.exec(url)?.[1]
      return file === undefined
        ? Either.left("it must be sqlite:FILE; leave it out to keep the data in the state directory")
        : Either.right(file)
    })
  )
}

/** What the first line of a hub tells. */
export const announcing = {
  printCode: Flag.toggle("print-code", "With --json: a one-time code in the first line")
}

export type Serving = Command.Values<typeof serving>

/** The longest that an agent may be told to idle: a year of minutes. */
const YEAR_MINUTES = 365 * 24 * 60

export const agent = Flag.orVariable(
  "CAUSEWAY_AGENT",
  Flag.parsed("agent", "AGENT", "claude, scripted or acp:COMMAND (CAUSEWAY_AGENT)", Agents.parse)
)

/** Commands that attach agents. */
export const attaching = {
  dir: Flag.text("dir", "DIR", "Where the agent works (default: here)"),
  agent,
  // Whoever starts a bridge for one agent has not allowed people elsewhere to start another.
  offer: Flag.withDefault(
    Flag.list("offer", "AGENT", "Another agent for new sessions; can be repeated", (names) =>
      Either.all(names.map(Agents.parse))
    ),
    []
  ),
  capacity: Flag.withDefault(
    Flag.integer("capacity", "N", [1, 10_000], "Sessions that may run at once (default: 32)"),
    32
  ),
  spawn: Flag.withDefault(
    Flag.choice("spawn", "WHERE", SpawnMode.literals, "Further sessions: same-dir, worktree, session: none"),
    "same-dir"
  ),
  idleStop: Flag.withDefault(
    Flag.decimal(
      "idle-stop",
      "MINUTES",
      [0, YEAR_MINUTES],
      "Stop an agent idle this long (default 30; 0: never)"
    ),
    30
  ),
  perpetual: Flag.toggle("perpetual", "Keep the session at shutdown, for the next start"),
  passEnv: Flag.orVariable(
    "CAUSEWAY_PASS_ENV",
    Flag.list("pass-env", "NAME", "Pass this variable to agents; can be repeated", (names) => {
      const refused = names.find((name) => ChildEnvironment.whyNotPassed(name) !== undefined)
      return refused === undefined
        ? Either.right(names)
        : Either.left(
            `${JSON.stringify(refused)} cannot be passed on to agents: ${ChildEnvironment.whyNotPassed(refused)}`
          )
    }),
    /\s*,\s*/
  ),
  model: Flag.text("model", "MODEL", "Model for the agent"),
  permissionMode: Flag.text("permission-mode", "MODE", "Permission mode the agent starts in"),
  allowSkipping: Flag.toggle(Ceiling.FLAG.slice("--".length), "Let people have agents work unasked"),
  sandbox: Flag.toggle("sandbox", "Run agents in a sandbox (bubblewrap; Linux)"),
  title: Flag.text("title", "TITLE", "Title of the session")
}

export type Attaching = Command.Values<typeof attaching>

/** What an agent may be given beyond its model and mode. */
export const agentOptions = {
  maxTurns: Flag.integer("max-turns", "N", [1, 1_000_000], "Most rounds with the model"),
  systemPrompt: Flag.text("system-prompt", "TEXT", "Replace the agent's system prompt"),
  appendSystemPrompt: Flag.text("append-system-prompt", "TEXT", "Add to the agent's system prompt"),
  mcpConfig: Flag.text("mcp-config", "FILE", "JSON file with MCP servers"),
  addDir: Flag.repeated("add-dir", "DIR", "Another directory for the agent; repeat"),
  allowedTools: Flag.repeated("allowed-tools", "RULE", "Allow unasked, like Bash(git log:*); repeat"),
  disallowedTools: Flag.repeated("disallowed-tools", "RULE", "Deny the agent this tool; can be repeated")
}
