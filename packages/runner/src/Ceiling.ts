/**
 * The most that people elsewhere may have agents do on this machine. What its owner has not allowed is refused with words,
 * whatever way it comes by; nothing is lowered in silence. Source: docs/decisions/0021.
 */
import * as EnvironmentCapabilities from "@causeway/protocol/EnvironmentCapabilities"
import * as Data from "effect/Data"

/** Who may answer questions of agents, as the hub names them; one that is named by neither may not. */
export interface Approvers {
  /** Ids of devices. */
  readonly devices: ReadonlyArray<string>
  readonly roles: ReadonlyArray<string>
}

export interface Ceiling {
  /** Permission modes; undefined: all but those that never ask. */
  readonly permissionModes: ReadonlyArray<string> | undefined
  /** Working without asking, in whatever form: the setting, and every mode that never asks. */
  readonly skipPermissions: boolean
  /** Editing without asking, by the setting or by a mode. */
  readonly acceptEdits: boolean
  /** Agents as drivers know them; undefined: all. */
  readonly agents: ReadonlyArray<string> | undefined
  /** Where sessions may work, as real paths; undefined: anywhere. */
  readonly directories: ReadonlyArray<string> | undefined
  /** Tools that only a person allows, each time. A name that ends in `*` stands for all that begin so. */
  readonly alwaysAsk: ReadonlyArray<string>
  /** Rules of tools, such as `Bash(git log:*)`, that a session may ask to be started with. */
  readonly allowedTools: ReadonlyArray<string>
  /** MCP servers that a session may bring: none, those that are addresses, or commands too, which are run unasked. */
  readonly mcpServers: "none" | "remote" | "any"
  /** Undefined: whoever the hub lets answer. */
  readonly approvers: Approvers | undefined
}

/** What holds where the owner has said nothing: agents ask. */
export const standard: Ceiling = {
  permissionModes: undefined,
  skipPermissions: false,
  acceptEdits: true,
  agents: undefined,
  directories: undefined,
  alwaysAsk: [],
  allowedTools: [],
  mcpServers: "remote",
  approvers: undefined
}

/** For a program whose own person says everything: nothing is refused. */
export const unbounded: Ceiling = { ...standard, skipPermissions: true, mcpServers: "any" }

/** How an owner allows more. */
export const FLAG = "--allow-dangerously-skip-permissions"
const BY_FILE = "the owner can allow it in policy.json"
const BY_FLAG = `${BY_FILE} or start with ${FLAG}`

/** Refused by the owner of the machine. `what` in words for the people of the session. */
export class NotAllowed extends Data.TaggedError("NotAllowed")<{
  readonly what: string
  readonly how: string
}> {
  override get message(): string {
    return `not allowed on this machine: ${this.what}; ${this.how}`
  }
}

export const byFile = (what: string): NotAllowed => new NotAllowed({ what, how: BY_FILE })
export const byFlag = (what: string): NotAllowed => new NotAllowed({ what, how: BY_FLAG })

/** A word of somebody else's, fit to be repeated. */
export const word = (text: string): string => JSON.stringify(text.slice(0, 100))

// --- Modes ---

/** Agents differ in how they write the same mode. */
const plain = (mode: string): string => mode.toLowerCase().replaceAll(/[^a-z0-9]/g, "")

/** Modes in which an agent does everything without asking, as agents name them. */
const UNASKED: ReadonlySet<string> = new Set([
  "agentfullaccess",
  "allowall",
  "autoapprove",
  "bypass",
  "bypasspermissions",
  "dangerfullaccess",
  "dangerouslyskippermissions",
  "dontask",
  "fullaccess",
  "fullauto",
  "never",
  "skippermissions",
  "unrestricted",
  "yolo"
])

/** Modes in which an agent edits without asking. */
const EDITING: ReadonlySet<string> = new Set(["acceptedits", "autoedit"])

/** Modes in which a model decides what is asked. */
const DECIDING: ReadonlySet<string> = new Set(["auto"])

/** Tools that edit files. */
export const editTools: ReadonlySet<string> = new Set(["Edit", "Write", "MultiEdit", "NotebookEdit"])

/** Whether only a person allows a tool. */
export const isAlwaysAsked = ({ alwaysAsk }: Ceiling, tool: string): boolean =>
  EnvironmentCapabilities.covers(alwaysAsk, tool)

/** Whether work without any question is allowed. */
export const skips = ({ alwaysAsk, skipPermissions }: Ceiling): boolean =>
  skipPermissions && alwaysAsk.length === 0

/** Whether an agent may be in a mode, by its id or its name. */
export const allowsMode = (ceiling: Ceiling, mode: string): boolean => {
  const { acceptEdits, alwaysAsk, permissionModes } = ceiling
  const name = plain(mode)
  const isListed = permissionModes?.some((each) => plain(each) === name)
  if (UNASKED.has(name)) return alwaysAsk.length === 0 && (isListed === true || ceiling.skipPermissions)
  if (isListed === false) return false
  if (EDITING.has(name)) return acceptEdits && ![...editTools].some((tool) => isAlwaysAsked(ceiling, tool))
  return !DECIDING.has(name) || alwaysAsk.length === 0
}

/** Why an agent may not be in a mode. */
export const modeRefused = (ceiling: Ceiling, mode: string): NotAllowed | undefined => {
  if (allowsMode(ceiling, mode)) return undefined
  const what = `the permission mode ${word(mode)}`
  return UNASKED.has(plain(mode)) && ceiling.alwaysAsk.length === 0 ? byFlag(what) : byFile(what)
}

/**
 * Why an agent may not be moved to a choice that goes by these names: one of its modes, or of another option, which may allow
 * the same. A list of modes names a choice by its id or by its name.
 */
export const choiceRefused = (
  ceiling: Ceiling,
  names: ReadonlyArray<string>,
  isMode: boolean
): NotAllowed | undefined => {
  const free = { ...ceiling, permissionModes: undefined }
  const isListed =
    isMode && ceiling.permissionModes !== undefined && names.some((name) => allowsMode(ceiling, name))
  return names
    .filter((name) => !isListed || UNASKED.has(plain(name)))
    .flatMap((name) => modeRefused(isMode ? ceiling : free, name) ?? [])[0]
}

/** Claude's modes, and what is decided beside agents: the names under which people are told what they cannot set. */
const KNOWN = ["default", "acceptEdits", "plan", "auto", "dontAsk", "bypassPermissions"]

/** What people cannot set here, of what is known by name. */
export const refused = (ceiling: Ceiling): ReadonlyArray<string> => [
  ...KNOWN.filter((mode) => !allowsMode(ceiling, mode)),
  ...(ceiling.skipPermissions ? [] : ["skip_permissions"]),
  ...(ceiling.acceptEdits ? [] : ["auto_accept_edits"])
]

/** Whether an agent may work here, by its name among drivers. */
export const allowsAgent = ({ agents }: Ceiling, agent: string): boolean =>
  agents === undefined || agents.includes(agent)
