import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as ChildEnvironment from "../src/ChildEnvironment.ts"

/** As a shell inside of another agent, in a hook of git, in a script of npm, under a debugger. */
const leftOver = {
  CAUSEWAY_TOKEN: "cw_secret",
  causeway_database_url: "sqlite:/secret",
  CLAUDECODE: "1",
  CLAUDE_CODE_SSE_PORT: "41231",
  CLAUDE_CODE_SESSION_ID: "11111111-1111-4111-8111-111111111111",
  CLAUDE_CODE_ENTRYPOINT: "cli",
  CLAUDE_CODE_CHILD_SESSION: "1",
  CLAUDE_CODE_REMOTE: "true",
  CLAUDE_CODE_SESSION_ACCESS_TOKEN: "sk-other",
  CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR: "7",
  CLAUDE_PROJECT_DIR: "/elsewhere",
  AI_AGENT: "other",
  GIT_DIR: "/elsewhere/.git",
  GIT_WORK_TREE: "/elsewhere",
  GIT_INDEX_FILE: "/elsewhere/.git/index.lock",
  GIT_PREFIX: "sub/",
  GIT_CONFIG_PARAMETERS: "'user.name'='somebody'",
  GIT_CONFIG_COUNT: "1",
  GIT_EDITOR: ":",
  npm_lifecycle_event: "dev",
  npm_package_name: "elsewhere",
  npm_config_local_prefix: "/elsewhere",
  npm_config_user_agent: "npm/11",
  INIT_CWD: "/elsewhere",
  NODE_OPTIONS: "--require /x/ms-vscode.js-debug/src/bootloader.js --inspect-publish-uid=http",
  VSCODE_INSPECTOR_OPTIONS: ':::{"inspectorIpc":"/tmp/x"}',
  NODE_CHANNEL_FD: "3",
  NOTIFY_SOCKET: "/run/systemd/notify",
  MAKELEVEL: "1",
  MAKEFLAGS: " -j --jobserver-auth=3,4",
  PWD: "/elsewhere",
  OLDPWD: "/elsewhere"
}

/** What people set, and what their builds and agents need. */
const set = {
  PATH: "/usr/bin:/bin",
  HOME: "/home/me",
  LANG: "de_DE.UTF-8",
  TERM: "xterm-256color",
  SSH_AUTH_SOCK: "/run/ssh",
  HTTPS_PROXY: "http://proxy:3128",
  no_proxy: "localhost",
  NODE_EXTRA_CA_CERTS: "/etc/ca.pem",
  ANTHROPIC_API_KEY: "sk-mine",
  ANTHROPIC_BASE_URL: "https://gateway.example",
  AWS_PROFILE: "work",
  CLAUDE_CONFIG_DIR: "/home/me/.claude-work",
  CLAUDE_CODE_USE_BEDROCK: "1",
  CLAUDE_CODE_OAUTH_TOKEN: "sk-oat",
  CLAUDE_CODE_MAX_OUTPUT_TOKENS: "32000",
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
  CLAUDE_CODE_SHELL: "/bin/zsh",
  CLAUDE_CODE_SESSIONEND_HOOKS_TIMEOUT_MS: "500",
  GIT_SSH_COMMAND: "ssh -i /home/me/.ssh/work",
  GIT_SSL_CAINFO: "/etc/ca.pem",
  GIT_AUTHOR_NAME: "Me",
  GIT_CONFIG_GLOBAL: "/home/me/.gitconfig-work",
  GIT_EDITOR: "vim",
  npm_config_registry: "https://registry.example",
  JAVA_HOME: "/opt/java",
  MAKEFLAGS: "-j8",
  NODE_OPTIONS: "--max-old-space-size=8192"
}

describe("the environment of children", () => {
  it("holds nothing that an agent, git, npm, make, a debugger or a service left in the shell", () => {
    expect(ChildEnvironment.make(leftOver)).toEqual({})
  })

  it("holds what people set", () => {
    expect(ChildEnvironment.make(set)).toEqual(set)
  })

  it("keeps the settings of npm and make that were set, and leaves out those that every script is given", () => {
    const env = ChildEnvironment.make({ ...set, ...leftOver })
    expect(env["npm_config_registry"]).toBe("https://registry.example")
    expect(env["npm_config_user_agent"]).toBeUndefined()
    expect(env["MAKEFLAGS"]).toBeUndefined()
  })

  it("takes only the debugger out of NODE_OPTIONS", () => {
    const of = (value: string) => ChildEnvironment.make({ NODE_OPTIONS: value })["NODE_OPTIONS"]
    expect(of("--inspect-brk=9229 --max-old-space-size=4096")).toBe("--max-old-space-size=4096")
    expect(of("--inspect")).toBeUndefined()
    expect(of('--require "/with space/hook.js" --inspect-port 0 -r ./a.js')).toBe(
      '--require "/with space/hook.js" -r ./a.js'
    )
    expect(of('-r "/x y/js-debug/bootloader.js" --enable-source-maps')).toBe("--enable-source-maps")
    expect(of("--import=file:///idea/debugConnector.mjs --trace-warnings")).toBe("--trace-warnings")
  })

  it("keeps settings of git from the environment where all of them are there", () => {
    const whole = { GIT_CONFIG_COUNT: "1", GIT_CONFIG_KEY_0: "safe.directory", GIT_CONFIG_VALUE_0: "*" }
    expect(ChildEnvironment.make(whole)).toEqual(whole)
    expect(ChildEnvironment.make({ ...whole, GIT_CONFIG_COUNT: "2" })).toEqual({})
  })

  it("holds what is passed on by name or by the beginning of names, and Causeway's own never", () => {
    expect(
      ChildEnvironment.make(leftOver, ["CLAUDE_CODE_REMOTE", "npm_package_*", "CAUSEWAY_*", "*"])
    ).toEqual(Object.fromEntries(Object.entries(leftOver).filter(([name]) => !/^causeway_/i.test(name))))
    expect(ChildEnvironment.make(leftOver, ["CLAUDE_CODE_REMOTE"])).toEqual({ CLAUDE_CODE_REMOTE: "true" })
    expect(ChildEnvironment.whyNotPassed("CAUSEWAY_TOKEN")).toContain("reach no agent")
    expect(ChildEnvironment.whyNotPassed("CAUSEWAY*")).toBeUndefined()
    expect(ChildEnvironment.whyNotPassed("A=1")).toContain("not the name")
    expect(ChildEnvironment.whyNotPassed("")).toContain("not the name")
  })

  const name = FastCheck.oneof(
    FastCheck.constantFrom(...Object.keys(leftOver), ...Object.keys(set)),
    FastCheck.stringMatching(/^(GIT_|CLAUDE_CODE_|npm_|NODE_|)[A-Za-z_]{1,12}$/)
  )
  const variables = FastCheck.dictionary(name, FastCheck.string())

  it.prop("is made once: making it again changes nothing, and it adds nothing", [variables], ([host]) => {
    const once = ChildEnvironment.make(host)
    expect(ChildEnvironment.make(once)).toEqual(once)
    expect(Object.keys(host)).toEqual(expect.arrayContaining(Object.keys(once)))
  })

  it.prop("of git: English, without questions, and for no repository", [variables], ([host]) => {
    const env = ChildEnvironment.forGit(host)
    expect(env).toMatchObject({ LC_MESSAGES: "C", GIT_TERMINAL_PROMPT: "0" })
    expect(env).not.toHaveProperty("LC_ALL")
    expect(env).not.toHaveProperty("GIT_DIR")
  })
})

/** Modules that start programs. Each gives an environment of its own, made here or of a few names. */
const starters = [
  "apps/scripted-agent/src/Directives.ts",
  "packages/git/src/Git.ts",
  "packages/runner/src/Acp/Terminal.ts",
  "packages/runner/src/Process/AgentProcess.ts",
  "packages/runner/src/Process/Guard.ts",
  "packages/runner/src/Process/ProcessTable.ts",
  "packages/runner/src/Sandbox.ts"
]

describe("programs", () => {
  it("are started by few modules, none of which hands on the environment of this process", () => {
    const root = fileURLToPath(new URL("../../../", import.meta.url))
    const sources = ["apps", "packages"].flatMap((place) =>
      readdirSync(join(root, place)).flatMap((name) =>
        readdirSync(join(root, place, name, "src"), { recursive: true, encoding: "utf8" })
          .filter((file) => /\.tsx?$/.test(file))
          .map((file) => join(place, name, "src", file))
      )
    )
    const found = sources.filter((file) =>
      /from "(node:child_process|@effect\/platform\/Command(Executor)?)"/.test(
        readFileSync(join(root, file), "utf8").replaceAll(/^import type .*$/gm, "")
      )
    )
    expect(found.sort()).toEqual(starters)
    // The scripted agent is a program that was started so itself.
    for (const file of starters.slice(1)) {
      const text = readFileSync(join(root, file), "utf8")
      expect([file, /\benv\b/.test(text), /process\.env(?!\[)/.test(text)]).toEqual([file, true, false])
    }
  })
})
