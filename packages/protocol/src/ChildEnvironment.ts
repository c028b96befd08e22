/**
 * Environment of the programs that Causeway starts: agents, git, and what these start.
 *
 * It is made, and not what the shell of the start happened to leave. A developer's shell has hundreds of variables that
 * builds need, so everything is passed on except kinds that are true of one process and false of its children's: this
 * table names them. What is passed on all the same is named by the caller. Reasons: docs/decisions/0011.
 */

export type Variables = { readonly [name: string]: string | undefined }

/** A kind of variable that is not passed on. A name that ends in `*` stands for all that begin so. */
export interface Kind {
  readonly kind: string
  readonly names: ReadonlyArray<string>
}

/** Causeway's own: its token and its database's address. No caller can have them passed on. */
const OWN = "CAUSEWAY_"

const claudeCode = (...names: ReadonlyArray<string>): ReadonlyArray<string> =>
  names.map((name) => `CLAUDE_CODE_${name}`)

/** Variables that are left out. Names are compared in upper case. */
export const leftOut: ReadonlyArray<Kind> = [
  { kind: "Causeway's own settings and secrets", names: [`${OWN}*`] },
  {
    kind: "another agent around this shell: an agent that sees them takes itself for a nested one, or for that session",
    names: [
      "CLAUDECODE",
      "AI_AGENT",
      "CLAUDE_EFFORT",
      "CLAUDE_ENV_FILE",
      "CLAUDE_JOB_DIR",
      "CLAUDE_PID",
      "CLAUDE_PROJECT_DIR",
      "CLAUDE_SKILL_DIR",
      "CLAUDE_AGENT_SDK_CLIENT_APP",
      "CLAUDE_AGENT_SDK_VERSION",
      "CLAUDE_TRUSTED_DEVICE_TOKEN",
      "CLAUDE_BG_*",
      "CLAUDE_BRIDGE_*",
      "CLAUDE_INTERNAL_*",
      "CLAUDE_PLUGIN_*",
      "CLAUDE_PTY_*",
      "CLAUDE_REMOTE_*",
      "CLAUDE_RUNNER_*",
      "CLAUDE_SDK_*",
      "CLAUDE_SESSION_*",
      "CLAUDE_SSH_*",
      ...claudeCode(
        "AGENT",
        "AGENT_*",
        "API_KEY_FILE_DESCRIPTOR",
        "ARTIFACT_FD",
        "BRIDGE_*",
        "CCR_*",
        "CHILD_*",
        "CLOUD_SESSION_ID",
        "CONTAINER_ID",
        "COORDINATOR_*",
        "DAEMON_*",
        "ENTRYPOINT",
        "ENVIRONMENT_*",
        "EXECPATH",
        "HOST_*",
        "INVOKED_SKILLS",
        "LAUNCHED_BY_*",
        "OAUTH_TOKEN_FILE_DESCRIPTOR",
        "PLAN_MODE_REQUIRED",
        "POST_FOR_SESSION_INGRESS_V2",
        "PROVIDER_MANAGED_BY_HOST",
        "RELAUNCH_*",
        "REMOTE",
        "REMOTE_*",
        "RESUME_FROM_SESSION",
        "RESUME_INTERRUPTED_TURN",
        "RESUME_PROMPT",
        "RESUME_REASON",
        "RESUME_SOURCE_ALIVE",
        "RUNNER_*",
        "SANDBOXED",
        "SDK_*",
        "SESSION_*",
        "SHELL_HANDOVER_*",
        "SPAWN*",
        "SSE_PORT",
        "STARTER_*",
        "SUPERVISED",
        "TASK_LIST_ID",
        "TEAM_*",
        "TEAMMATE_*",
        "TMUX_*",
        "TOOL_USE_ID",
        "USE_CCR_V2",
        "WEBSOCKET_AUTH_FILE_DESCRIPTOR",
        "WORKER_*"
      ),
      "CODEX_SANDBOX*",
      "CODEX_THREAD_ID",
      "CURSOR_AGENT",
      "GEMINI_CLI",
      "OPENCODE",
      "OPENCODE_PID",
      "QWEN_CODE",
      "TRACEPARENT",
      "TRACESTATE"
    ]
  },
  {
    kind: "the git command around this shell (a hook, an alias): git would answer for that repository, index or date",
    names: [
      "GIT_ALTERNATE_OBJECT_DIRECTORIES",
      "GIT_ATTR_SOURCE",
      "GIT_AUTHOR_DATE",
      "GIT_CEILING_DIRECTORIES",
      "GIT_COMMITTER_DATE",
      "GIT_COMMON_DIR",
      "GIT_CONFIG",
      "GIT_CONFIG_PARAMETERS",
      "GIT_DIFF_OPTS",
      "GIT_DIR",
      "GIT_EXTERNAL_DIFF",
      "GIT_GLOB_PATHSPECS",
      "GIT_GRAFT_FILE",
      "GIT_ICASE_PATHSPECS",
      "GIT_IMPLICIT_WORK_TREE",
      "GIT_INDEX_FILE",
      "GIT_INDEX_VERSION",
      "GIT_INTERNAL_*",
      "GIT_LITERAL_PATHSPECS",
      "GIT_NAMESPACE",
      "GIT_NOGLOB_PATHSPECS",
      "GIT_NO_REPLACE_OBJECTS",
      "GIT_OBJECT_DIRECTORY",
      "GIT_PAGER_IN_USE",
      "GIT_PREFIX",
      "GIT_PUSH_OPTION_*",
      "GIT_QUARANTINE_PATH",
      "GIT_REFLOG_ACTION",
      "GIT_REPLACE_REF_BASE",
      "GIT_SHALLOW_FILE",
      "GIT_WORK_TREE",
      "GITHEAD_*"
    ]
  },
  {
    kind: "the package manager's script around this shell: its package is not the one that is worked on",
    names: [
      "BERRY_BIN_FOLDER",
      "INIT_CWD",
      "NPM_COMMAND",
      "NPM_EXECPATH",
      "NPM_LIFECYCLE_*",
      "NPM_NODE_EXECPATH",
      "NPM_PACKAGE_*",
      "PNPM_SCRIPT_SRC_DIR",
      "PROJECT_CWD"
    ]
  },
  {
    kind: "a debugger, test runner or parent of the Node process around this shell",
    names: [
      "ELECTRON_RUN_AS_NODE",
      "JEST_WORKER_ID",
      "NODE_CHANNEL_*",
      "NODE_INSPECT_*",
      "NODE_REPL_EXTERNAL_MODULE",
      "NODE_TEST_CONTEXT",
      "NODE_UNIQUE_ID",
      "NODE_V8_COVERAGE",
      "VITEST",
      "VITEST_*",
      "VSCODE_INSPECTOR_OPTIONS"
    ]
  },
  {
    kind: "the service manager or shell around this process: they name its sockets, its process id and its directory",
    names: ["LISTEN_FDNAMES", "LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET", "OLDPWD", "PWD", "WATCHDOG_*"]
  }
]

/** Settings of npm that it hands to every script, whether anybody set them or not. */
const OF_EVERY_NPM_SCRIPT =
  /^npm_config_(cache|global_prefix|globalconfig|init_module|local_prefix|node_gyp|noproxy|npm_version|prefix|user_agent|userconfig)$/

/** Variables that make hands to a recipe; somebody's own `MAKEFLAGS` come without a level. */
const OF_EVERY_MAKE_RECIPE =
  /^(CARGO_MAKEFLAGS|MAKEFLAGS|MAKELEVEL|MAKEOVERRIDES|MAKE_TERMERR|MAKE_TERMOUT|MFLAGS)$/

const matcher = (names: ReadonlyArray<string>): ((name: string) => boolean) => {
  const exact = new Set(names.filter((name) => !name.endsWith("*")))
  const prefixes = names.filter((name) => name.endsWith("*")).map((name) => name.slice(0, -1))
  return (name) => exact.has(name) || prefixes.some((prefix) => name.startsWith(prefix))
}

const isLeftOut = matcher(leftOut.flatMap(({ names }) => names))

/** `NODE_OPTIONS` without what attaches a debugger; a value of its own keeps its quotes. */
const withoutDebugger = (nodeOptions: string): string => {
  const words = nodeOptions.match(/(?:[^\s"]|"(?:\\.|[^"\\])*"?)+/g) ?? []
  const kept: Array<string> = []
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? ""
    if (/^--(inspect|debug-port)/.test(word)) {
      // `--inspect-port 0`: the value is a word of its own.
      if (/^--(inspect-port|debug-port|inspect-publish-uid)$/.test(word)) i++
      continue
    }
    const [, option, joined] = /^(-r|--require|--import)(?:=(.*))?$/.exec(word) ?? []
    const module = option === undefined ? "" : (joined ?? words[i + 1] ?? "")
    if (/js-debug|debugConnector/i.test(module)) {
      if (joined === undefined) i++
      continue
    }
    kept.push(word)
  }
  return kept.join(" ")
}

/** `GIT_CONFIG_COUNT` says how many pairs follow; with one missing git refuses to do anything. */
const isWholeGitConfig = (host: Variables): boolean => {
  const count = host["GIT_CONFIG_COUNT"] ?? ""
  if (!/^\d{1,4}$/.test(count)) return false
  return Array.from({ length: Number(count) }, (_, i) => i).every(
    (i) => host[`GIT_CONFIG_KEY_${i}`] !== undefined && host[`GIT_CONFIG_VALUE_${i}`] !== undefined
  )
}

/** Why a name cannot be passed on, or `undefined` where it can: it is no name, or one of Causeway's own. */
export const whyNotPassed = (name: string): string | undefined => {
  if (!/^[^=*\s\0]+\*?$/.test(name)) return "not the name of a variable; give names, not values"
  if (name.replace(/\*$/, "").toUpperCase().startsWith(OWN)) return "Causeway's own variables reach no agent"
  return undefined
}

/**
 * Environment of an agent, made of its host's. `pass` names variables that are passed on although their kind is left
 * out, as they are; Causeway's own never are.
 */
export const make = (host: Variables, pass: ReadonlyArray<string> = []): Record<string, string> => {
  const passed = matcher(pass)
  const byNpm = host["npm_execpath"] !== undefined || host["npm_lifecycle_event"] !== undefined
  const byMake = host["MAKELEVEL"] !== undefined
  const gitConfig = isWholeGitConfig(host)
  const out: Record<string, string> = {}
  for (const [name, value] of Object.entries(host)) {
    if (value === undefined || name.toUpperCase().startsWith(OWN)) continue
    if (passed(name)) {
      out[name] = value
      continue
    }
    if (isLeftOut(name.toUpperCase())) continue
    if (byNpm && OF_EVERY_NPM_SCRIPT.test(name)) continue
    if (byMake && OF_EVERY_MAKE_RECIPE.test(name)) continue
    if (!gitConfig && /^GIT_CONFIG_(COUNT$|KEY_|VALUE_)/.test(name)) continue
    // What git (`:`) and agents (`true`) set so that nobody is asked.
    if (/^GIT_(SEQUENCE_)?EDITOR$/.test(name) && /^(:|true)$/.test(value)) continue
    if (name === "NODE_OPTIONS") {
      const options = withoutDebugger(value)
      if (options !== "") out[name] = options
      continue
    }
    out[name] = value
  }
  return out
}

/**
 * Environment of our own calls of git: as an agent's, with messages in English, because some are read, and without
 * questions, because there may be nobody to answer. The character set stays: filters run in this environment too.
 */
export const forGit = (host: Variables): Record<string, string> => {
  const { LANGUAGE: _language, LC_ALL: all, ...out } = make(host)
  return {
    ...out,
    ...(all === undefined || all === "" ? {} : { LANG: all, LC_CTYPE: all }),
    LC_MESSAGES: "C",
    GIT_TERMINAL_PROMPT: "0",
    GIT_OPTIONAL_LOCKS: "0"
  }
}
