import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { homedir, tmpdir } from "node:os"
import { join } from "node:path"
import * as Ceiling from "@causeway/runner/Ceiling"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as MachinePolicy from "../src/MachinePolicy.ts"

const directory = Effect.acquireRelease(
  Effect.sync(() => realpathSync(mkdtempSync(join(tmpdir(), "causeway-policy-")))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** A state directory whose policy is this text. */
const saying = (text: string, mode = 0o600) =>
  Effect.tap(directory, (state) =>
    Effect.sync(() => {
      writeFileSync(MachinePolicy.fileIn(state), text)
      chmodSync(MachinePolicy.fileIn(state), mode)
    })
  )

const refused = (text: string, mode?: number) =>
  Effect.flatMap(saying(text, mode), (state) =>
    Effect.map(Effect.flip(MachinePolicy.load(state)), ({ message }) => message)
  )

describe("the policy of a machine", () => {
  it.scoped("is the standard one where there is no file: agents ask", () =>
    Effect.gen(function* () {
      expect(yield* Effect.flatMap(directory, MachinePolicy.load)).toEqual(MachinePolicy.standard)
      expect(MachinePolicy.standard.ceiling).toEqual(Ceiling.standard)
      expect(Ceiling.refused(Ceiling.standard)).toEqual(["dontAsk", "bypassPermissions", "skip_permissions"])
    })
  )

  it.scoped("is what the file says, directories by their real paths", () =>
    Effect.gen(function* () {
      const root = yield* directory
      mkdirSync(join(root, "work"))
      symlinkSync(join(root, "work"), join(root, "link"))
      const policy = {
        permission_modes: ["default", "plan"],
        skip_permissions: false,
        accept_edits: false,
        agents: ["scripted"],
        directories: [join(root, "link")],
        always_ask: ["Bash", "mcp__*"],
        allowed_tools: ["Read"],
        mcp_servers: "none",
        approvers: { roles: ["owner"] },
        sandbox: { required: true, network: false, writable: ["~/.gemini"] }
      }
      const { ceiling, sandbox } = yield* Effect.flatMap(
        saying(JSON.stringify(policy), 0o644),
        MachinePolicy.load
      )
      expect(sandbox).toEqual({
        required: true,
        network: false,
        privateTmp: true,
        writable: [join(homedir(), ".gemini")],
        hidden: []
      })
      expect(ceiling).toEqual({
        permissionModes: ["default", "plan"],
        skipPermissions: false,
        acceptEdits: false,
        agents: ["scripted"],
        directories: [join(root, "work")],
        alwaysAsk: ["Bash", "mcp__*"],
        allowedTools: ["Read"],
        mcpServers: "none",
        approvers: { devices: [], roles: ["owner"] }
      })
    })
  )

  it.scoped("is refused with the place of what is wrong, and never guessed", () =>
    Effect.gen(function* () {
      expect(yield* refused('{\n  "agents": [1\n}')).toMatch(/policy\.json: no JSON/)
      expect(yield* refused('{"agents":["scripted",1]}')).toContain("agents.1: ")
      expect(yield* refused('{"approvers":{"devices":"all"}}')).toContain("approvers.devices: ")
      expect(yield* refused('{"skip_permission":true}')).toContain("skip_permission: ")
      expect(yield* refused('{"mcp_servers":"some"}')).toContain("mcp_servers: ")
      expect(yield* refused('{"directories":["work"]}')).toContain('directories.0: "work" is not absolute')
      expect(yield* refused('{"sandbox":{"hidden":["a"]}}')).toContain("sandbox.hidden.0: ")
      expect(yield* refused('{"directories":["/not/there"]}')).toContain("directories.0: ")
      expect(yield* refused('{"permission_modes":["bypassPermissions"],"always_ask":["Bash"]}')).toContain(
        "permission_modes.0: "
      )
      expect(yield* refused("[]")).toContain("the whole: ")
    })
  )

  it.scoped("is refused where others may write it", () =>
    Effect.gen(function* () {
      expect(yield* refused("{}", 0o620)).toContain("others may write it")
      expect(yield* refused("{}", 0o602)).toContain("others may write it")
      expect(yield* Effect.flatMap(saying("{}", 0o644), MachinePolicy.load)).toEqual(MachinePolicy.standard)
    })
  )
})
