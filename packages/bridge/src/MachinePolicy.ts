/**
 * `policy.json` in the state directory: what the owner of this machine allows people elsewhere to have agents do. Read once,
 * at the start: an agent that could write it would change nothing of what runs. Source: docs/decisions/0021.
 */
import { open, realpath } from "node:fs/promises"
import { homedir } from "node:os"
import { isAbsolute, join } from "node:path"
import * as FileFailure from "@causeway/protocol/FileFailure"
import * as Ceiling from "@causeway/runner/Ceiling"
import type { Sandbox } from "@causeway/runner/Sandbox"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"

const Names = Schema.optional(Schema.Array(Schema.NonEmptyString))
const Flag = Schema.optional(Schema.Boolean)

/** What the file holds; a member that is left out is as in {@link Ceiling.standard}. */
export const Policy = Schema.Struct({
  /** Permission modes that may be set; without it all but those that never ask. */
  permission_modes: Names,
  /** Working without asking: `skip_permissions`, and every mode that never asks. */
  skip_permissions: Flag,
  /** Editing without asking. */
  accept_edits: Flag,
  /** Agents as `--agent` names them. */
  agents: Names,
  /** Where sessions may work, and what they may add: absolute, or from `~/`. */
  directories: Names,
  /** Tools that a person allows each time. */
  always_ask: Names,
  /** Rules, such as `Bash(git log:*)`, that a session may ask to be started with. */
  allowed_tools: Names,
  /** MCP servers that a session may bring. */
  mcp_servers: Schema.optional(Schema.Literal("none", "remote", "any")),
  /** Who may answer agents, as the hub names them; without it whoever the hub lets. */
  approvers: Schema.optional(Schema.Struct({ devices: Names, roles: Names })),
  /** What `--sandbox` means here. */
  sandbox: Schema.optional(
    Schema.Struct({
      /** Nothing starts without it. */
      required: Flag,
      network: Flag,
      /** `/tmp` is the agent's own. */
      private_tmp: Flag,
      /** Absolute, or from `~/`; one that is not there is passed over. */
      writable: Names,
      /** The same, to be empty within, beside the state directory. */
      hidden: Names
    })
  )
})
export type Policy = typeof Policy.Type

/** What the owner of this machine has said. */
export interface Machine {
  readonly ceiling: Ceiling.Ceiling
  readonly sandbox: Pick<Sandbox, "hidden" | "network" | "privateTmp" | "writable"> & {
    /** Agents work in a sandbox alone. */
    readonly required: boolean
  }
}

/** What holds without a file. */
export const standard: Machine = {
  ceiling: Ceiling.standard,
  sandbox: { required: false, network: true, privateTmp: true, writable: [], hidden: [] }
}

/** The file cannot be read, is somebody else's to write, or says what nobody understands: nothing starts by a guess. */
export class PolicyInvalid extends Data.TaggedError("PolicyInvalid")<{
  readonly file: string
  readonly detail: string
}> {
  override get message(): string {
    return `${this.file}: ${this.detail}`
  }
}

export const fileIn = (stateDirectory: string): string => join(stateDirectory, "policy.json")

/** Whether others than the owner, or the administrator, could have written it. */
const whoseElse = ({ mode, uid }: { readonly mode: number; readonly uid: number }): string | undefined => {
  const self = process.getuid?.()
  if (self === undefined) return undefined
  if (uid !== self && uid !== 0) return "it belongs to another user; make it yours (chown) or remove it"
  return (mode & 0o022) === 0 ? undefined : "others may write it; run: chmod 600 on it"
}

/** The text of the file; undefined where there is none. */
const read = (file: string): Effect.Effect<string | undefined, PolicyInvalid> =>
  Effect.tryPromise({
    try: async () => {
      const handle = await open(file, "r")
      try {
        const others = whoseElse(await handle.stat())
        return others === undefined
          ? Either.right(await handle.readFile("utf8"))
          : Either.left(new PolicyInvalid({ file, detail: others }))
      } finally {
        await handle.close()
      }
    },
    catch: (cause) => cause
  }).pipe(
    Effect.catchAll((cause) =>
      FileFailure.codeOf(cause) === "ENOENT"
        ? Effect.succeed(Either.right(undefined))
        : new PolicyInvalid({ file, detail: FileFailure.describe(file, cause) })
    ),
    Effect.flatten
  )

/** Where in a text the parser stopped. */
const placeOf = (text: string, message: string): string => {
  const position = /position (\d+)/.exec(message)?.[1]
  if (position === undefined) return ""
  const lines = text.slice(0, Number(position)).split("\n")
  return ` (line ${lines.length}, column ${(lines.at(-1)?.length ?? 0) + 1})`
}

const parsed = (file: string, text: string): Effect.Effect<unknown, PolicyInvalid> =>
  Effect.try({
    try: (): unknown => JSON.parse(text),
    catch: (cause) => {
      const message = cause instanceof Error ? cause.message : String(cause)
      return new PolicyInvalid({ file, detail: `no JSON${placeOf(text, message)}: ${message}` })
    }
  })

const decode = Schema.decodeUnknown(Policy, { onExcessProperty: "error", errors: "all" })

const issues = (error: ParseResult.ParseError): string =>
  ParseResult.ArrayFormatter.formatErrorSync(error)
    .map(({ message, path }) => `${path.length === 0 ? "the whole" : path.join(".")}: ${message}`)
    .join("; ")

/** Paths as an owner writes them, in full. */
const pathsOf = (file: string, member: string, paths: ReadonlyArray<string> = []) =>
  Effect.forEach(paths, (path, at) => {
    const full = path.startsWith("~/") ? join(homedir(), path.slice(2)) : path
    const detail = `${member}.${at}: ${JSON.stringify(path)} is not absolute`
    return isAbsolute(full) ? Effect.succeed(full) : new PolicyInvalid({ file, detail })
  })

const directoriesOf = (file: string, paths: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const all = yield* pathsOf(file, "directories", paths)
    return yield* Effect.forEach(all, (full, at) =>
      Effect.tryPromise({
        try: () => realpath(full),
        catch: (cause) =>
          new PolicyInvalid({ file, detail: `directories.${at}: ${FileFailure.describe(full, cause)}` })
      })
    )
  })

const ceilingOf = (file: string, policy: Policy): Effect.Effect<Ceiling.Ceiling, PolicyInvalid> =>
  Effect.gen(function* () {
    const { accept_edits, always_ask, approvers, skip_permissions, ...others } = policy
    const ceiling: Ceiling.Ceiling = {
      permissionModes: others.permission_modes,
      skipPermissions: skip_permissions ?? Ceiling.standard.skipPermissions,
      acceptEdits: accept_edits ?? Ceiling.standard.acceptEdits,
      agents: others.agents,
      directories: others.directories && (yield* directoriesOf(file, others.directories)),
      alwaysAsk: always_ask ?? [],
      allowedTools: others.allowed_tools ?? [],
      mcpServers: others.mcp_servers ?? Ceiling.standard.mcpServers,
      approvers: approvers && { devices: approvers.devices ?? [], roles: approvers.roles ?? [] }
    }
    for (const [at, mode] of (others.permission_modes ?? []).entries()) {
      if (Ceiling.allowsMode(ceiling, mode)) continue
      const detail = `permission_modes.${at}: ${JSON.stringify(mode)} asks for less than accept_edits or always_ask keep for people; leave it out`
      return yield* new PolicyInvalid({ file, detail })
    }
    return ceiling
  })

const sandboxOf = (file: string, { sandbox = {} }: Policy) =>
  Effect.gen(function* () {
    return {
      required: sandbox.required ?? standard.sandbox.required,
      network: sandbox.network ?? standard.sandbox.network,
      privateTmp: sandbox.private_tmp ?? standard.sandbox.privateTmp,
      writable: yield* pathsOf(file, "sandbox.writable", sandbox.writable),
      hidden: yield* pathsOf(file, "sandbox.hidden", sandbox.hidden)
    }
  })

/** What the file says, or the standard where there is none. */
export const load = (stateDirectory: string): Effect.Effect<Machine, PolicyInvalid> =>
  Effect.gen(function* () {
    const file = fileIn(stateDirectory)
    const text = yield* read(file)
    if (text === undefined) return standard
    const policy = yield* Effect.mapError(
      decode(yield* parsed(file, text)),
      (error) => new PolicyInvalid({ file, detail: issues(error) })
    )
    return { ceiling: yield* ceilingOf(file, policy), sandbox: yield* sandboxOf(file, policy) }
  }).pipe(Effect.withSpan("MachinePolicy.load"))
