/** The flags that several commands share. Each falls back to an environment variable where one is named. */
import { SpawnMode } from "@causeway/runner/Runner/SpawnMode"
import * as Options from "@effect/cli/Options"

export const stateDir = Options.text("state-dir").pipe(
  Options.optional,
  Options.withDescription("Where data is kept (CAUSEWAY_STATE_DIR; default: the platform's state directory)")
)

export const json = Options.boolean("json").pipe(
  Options.withDescription("One JSON value a line on standard output, for programs")
)

const hub = Options.text("hub").pipe(
  Options.optional,
  Options.withDescription(
    "Address of the hub (CAUSEWAY_HUB_URL; default: the hub that runs on this state directory)"
  )
)

const token = Options.redacted("token").pipe(
  Options.optional,
  Options.withDescription("Access token (CAUSEWAY_TOKEN; default: the one kept in the state directory)")
)

/** Every command takes these. */
export const common = { stateDir, json }

/** Commands that talk to a hub. */
export const remote = { ...common, hub, token }

/** Commands that serve a hub. */
export const serving = {
  host: Options.text("host").pipe(
    Options.optional,
    Options.withDescription("Address to listen on (default: 127.0.0.1, reachable from this machine alone)")
  ),
  port: Options.integer("port").pipe(
    Options.optional,
    Options.withDescription("Port to listen on; 0 picks a free one (default: 4750)")
  ),
  publicUrl: Options.text("public-url").pipe(
    Options.optional,
    Options.withDescription(
      "Where other machines reach this hub, behind a proxy for example (CAUSEWAY_PUBLIC_URL; default: the address that each of them used)"
    )
  ),
  pushContact: Options.text("push-contact").pipe(
    Options.optional,
    Options.withDescription(
      "Your e-mail or https address, for push services (CAUSEWAY_PUSH_CONTACT; default: --public-url); Apple's wants a real one"
    )
  ),
  databaseUrl: Options.text("database-url").pipe(
    Options.optional,
    Options.withDescription("sqlite:<file> (CAUSEWAY_DATABASE_URL; default: hub.db in the state directory)")
  )
}

/** Commands that attach agents. */
export const attaching = {
  dir: Options.text("dir").pipe(
    Options.withDefault("."),
    Options.withDescription("Directory the agent works in")
  ),
  agent: Options.text("agent").pipe(
    Options.optional,
    Options.withDescription(
      "claude, scripted, acp:<command> or a configured name (CAUSEWAY_AGENT; default: claude where it is installed)"
    )
  ),
  offer: Options.text("offer").pipe(
    Options.repeated,
    Options.withDescription(
      "Another agent that new sessions may ask for, by name as with --agent; can be given several times"
    )
  ),
  capacity: Options.integer("capacity").pipe(
    Options.withDefault(32),
    Options.withDescription("How many sessions may run here at once")
  ),
  spawn: Options.choice("spawn", SpawnMode.literals).pipe(
    Options.withDefault("same-dir" as const),
    Options.withDescription(
      "Where further sessions work: same-dir, worktree (a git worktree each, removed at the end unless work would be lost), session (no further ones)"
    )
  ),
  idleStop: Options.float("idle-stop").pipe(
    Options.withDefault(0),
    Options.withDescription(
      "End an agent's process after this many idle minutes; the next message starts it again with its history. 0: never"
    )
  ),
  perpetual: Options.boolean("perpetual").pipe(
    Options.withDescription("Keep the session at shutdown and take it up again at the next start")
  ),
  passEnv: Options.text("pass-env").pipe(
    Options.repeated,
    Options.withDescription(
      "A variable that agents get although its kind is left out, like CLAUDE_CODE_REMOTE or NPM_CONFIG_*; can be given several times (CAUSEWAY_PASS_ENV, separated by commas)"
    )
  ),
  model: Options.text("model").pipe(
    Options.optional,
    Options.withDescription("Model the agent is asked to use")
  ),
  permissionMode: Options.text("permission-mode").pipe(
    Options.optional,
    Options.withDescription("Permission mode the agent starts in")
  ),
  title: Options.text("title").pipe(Options.optional, Options.withDescription("Title of the session"))
}
