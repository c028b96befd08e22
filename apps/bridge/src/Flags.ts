/** The flags that several commands share. Each falls back to an environment variable where one is named. */
import { SpawnMode } from "@causeway/runner/Runner/SpawnMode"
import * as Flag from "./Cli/Flag.ts"
import * as LogLevel from "./LogLevel.ts"

/** What the program itself reads, whatever the command. */
export const globals = [
  LogLevel.flag,
  Flag.toggle("help", "What a command takes", "h"),
  Flag.toggle("version", "Which version this is", "V")
]

export const stateDir = Flag.text("state-dir", {
  value: "DIR",
  description: "Where data is kept (CAUSEWAY_STATE_DIR)"
})

export const json = Flag.toggle("json", "One JSON value a line, for programs")

const hub = Flag.text("hub", { value: "URL", description: "Address of the hub (CAUSEWAY_HUB_URL)" })

const token = Flag.redacted("token", { value: "TOKEN", description: "Access token (CAUSEWAY_TOKEN)" })

/** Every command takes these. */
export const common = { stateDir, json }

/** Commands that talk to a hub. */
export const remote = { ...common, hub, token }

/** Commands that serve a hub. */
export const serving = {
  host: Flag.text("host", {
    value: "ADDRESS",
    description: "Listen here (default: 127.0.0.1, this machine)"
  }),
  port: Flag.integer("port", {
    value: "PORT",
    least: 0,
    most: 65_535,
    description: "Listen on this port (default: 4750; 0: a free one)"
  }),
  publicUrl: Flag.text("public-url", {
    value: "URL",
    description: "Where others reach it (CAUSEWAY_PUBLIC_URL)"
  }),
  trustedProxy: Flag.repeated("trusted-proxy", {
    value: "ADDRESS",
    description: "A proxy, or its network, that is believed; repeated"
  }),
  pushContact: Flag.text("push-contact", {
    value: "ADDRESS",
    description: "Your e-mail or https address, for push services"
  }),
  databaseUrl: Flag.text("database-url", {
    value: "URL",
    description: "sqlite:FILE (default: in the state directory)"
  })
}

/** The longest that an agent may be told to idle: a year of minutes. */
const YEAR_MINUTES = 365 * 24 * 60

/** Commands that attach agents. */
export const attaching = {
  dir: Flag.text("dir", { value: "DIR", description: "Where the agent works (default: here)" }),
  agent: Flag.text("agent", {
    value: "AGENT",
    description: "claude, scripted or acp:COMMAND (CAUSEWAY_AGENT)"
  }),
  offer: Flag.repeated("offer", {
    value: "AGENT",
    description: "Another agent for new sessions; can be repeated"
  }),
  capacity: Flag.withDefault(
    Flag.integer("capacity", {
      value: "N",
      least: 1,
      most: 10_000,
      description: "Sessions that may run at once (default: 32)"
    }),
    32
  ),
  spawn: Flag.withDefault(
    Flag.choice("spawn", {
      value: "WHERE",
      choices: SpawnMode.literals,
      description: "Further sessions: same-dir, worktree, session: none"
    }),
    "same-dir"
  ),
  idleStop: Flag.withDefault(
    Flag.decimal("idle-stop", {
      value: "MINUTES",
      least: 0,
      most: YEAR_MINUTES,
      description: "End an agent idle for so long (default 30; 0: never)"
    }),
    30
  ),
  perpetual: Flag.toggle("perpetual", "Keep the session at shutdown, for the next start"),
  passEnv: Flag.repeated("pass-env", {
    value: "NAME",
    description: "A variable that agents get all the same; repeated"
  }),
  model: Flag.text("model", { value: "MODEL", description: "Model the agent is asked to use" }),
  permissionMode: Flag.text("permission-mode", { value: "MODE", description: "Mode the agent starts in" }),
  title: Flag.text("title", { value: "TITLE", description: "Title of the session" })
}

/** What an agent may be given beyond its model and mode. */
export const agentOptions = {
  maxTurns: Flag.integer("max-turns", {
    value: "N",
    least: 1,
    most: 1_000_000,
    description: "Most rounds with the model"
  }),
  systemPrompt: Flag.text("system-prompt", { value: "TEXT", description: "Instead of the agent's own" }),
  appendSystemPrompt: Flag.text("append-system-prompt", { value: "TEXT", description: "Added to it" }),
  mcpConfig: Flag.text("mcp-config", { value: "FILE", description: "MCP servers, as JSON" }),
  addDir: Flag.repeated("add-dir", {
    value: "DIR",
    description: "A further directory for the agent; repeated"
  }),
  allowedTools: Flag.repeated("allowed-tools", {
    value: "RULE",
    description: "Allow unasked, like Bash(git log:*); repeated"
  }),
  disallowedTools: Flag.repeated("disallowed-tools", {
    value: "RULE",
    description: "Keep from the agent; repeated"
  })
}
