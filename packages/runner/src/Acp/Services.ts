/** Services for an ACP agent beside permission: files and terminals. Source: spec 4 §2. */
import type { ClientCapabilities } from "@agentclientprotocol/sdk"
import type * as Effect from "effect/Effect"
import * as FileSystem from "./FileSystem.ts"
import type { RpcError } from "./JsonRpc.ts"
import type { Terminals } from "./Terminal.ts"

/** Announced in `initialize`: the services below, and updates that the translation understands. */
export const capabilities: ClientCapabilities = {
  fs: { readTextFile: true, writeTextFile: true },
  terminal: true,
  elicitation: { form: {} },
  session: { compaction: {}, configOptions: { boolean: {} }, notices: {} }
}

export type Service = (params: unknown) => Effect.Effect<object, RpcError>

/** The services by method. `root` is the working directory's real path; `sandboxed`: what git runs by is not written. */
export const make = (root: string, terminals: Terminals, sandboxed = false): ReadonlyMap<string, Service> =>
  new Map<string, Service>([
    ["fs/read_text_file", (params) => FileSystem.readTextFile(root, params)],
    ["fs/write_text_file", (params) => FileSystem.writeTextFile(root, params, sandboxed)],
    ["terminal/create", terminals.create],
    ["terminal/output", terminals.output],
    ["terminal/wait_for_exit", terminals.waitForExit],
    ["terminal/kill", terminals.kill],
    ["terminal/release", terminals.release]
  ])
