/** The state of a translation, and how a step writes lines. */
import type { JsonObject, Payload } from "@causeway/protocol/Payload"
import * as ProtocolPayload from "@causeway/protocol/Payload"
import { uuid5 } from "@causeway/protocol/Uuid5"
import type * as Permission from "../Permission.ts"
import * as Settings from "../Settings.ts"
import type * as ToolCall from "../ToolCall.ts"

/** Text that is being written. */
export interface Segment {
  readonly kind: "text" | "thinking" | "user"
  readonly parent: string | null
  readonly messageId: string | null
  readonly text: string
  readonly prompt: string | null
}

/** The message that blocks are added to. */
export interface Message {
  /** Ours: an agent may use its own id again for a message that is over. */
  readonly id: string
  readonly acpId: string | null
  readonly parent: string | null
  /** Lines so far; the next block's index. */
  readonly blocks: number
  /** Its partial text has begun. */
  readonly started: boolean
}

export interface Turn {
  readonly prompt: string
  /** Text of the prompt, by which an echo of it is known. */
  readonly words: string
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  readonly messages: number
  /** Words of the latest message of the main context. */
  readonly said: string
  readonly denials: ReadonlyArray<JsonObject>
  /** A question about a tool was withdrawn. */
  readonly withdrawn: boolean
}

/** A permission request that nobody has answered. */
export interface Pending {
  readonly requestId: string
  readonly toolUseId: string
  readonly toolName: string
  readonly input: JsonObject
  readonly options: ReadonlyArray<Permission.Option>
  /** A question about no call of the agent's: the call that shows it, to be closed by its answer. */
  readonly ownCall: string | null
}

/** Known when the agent has opened its session. */
export interface Opened {
  /** The owner's id of the conversation; `session_id` of every line. */
  readonly sessionId: string
  /** The agent's id of it. */
  readonly acpSessionId: string
  /** Names this start of the agent; with it and a count the lines' uuids are made. */
  readonly run: string
  readonly cwd: string
  readonly agent: { readonly name: string; readonly version: string }
  readonly mcpServers: ReadonlyArray<string>
  readonly settings: Settings.Settings
}

export interface State extends Opened {
  readonly lines: number
  readonly messages: number
  readonly commands: ReadonlyArray<JsonObject>
  readonly turn: Turn | null
  /** The prompt that what comes between turns is attributed to. */
  readonly lastPrompt: string | null
  readonly turns: number
  readonly segment: Segment | null
  readonly message: Message | null
  readonly calls: ReadonlyMap<string, ToolCall.ToolCall>
  readonly terminals: ToolCall.Terminals
  readonly permissions: ReadonlyMap<string, Pending>
  readonly plan: string
  readonly context: { readonly used: number; readonly size: number | null } | null
  readonly costUsd: number | null
  readonly compactions: ReadonlyMap<string, string>
}

export const initial = (opened: Opened): State => ({
  ...opened,
  lines: 0,
  messages: 0,
  commands: [],
  turn: null,
  lastPrompt: null,
  turns: 0,
  segment: null,
  message: null,
  calls: new Map(),
  terminals: new Map(),
  permissions: new Map(),
  plan: "",
  context: null,
  costUsd: null,
  compactions: new Map()
})

/** The state that a step changes in place, and the lines that it has written. */
export type Draft = { -readonly [K in keyof State]: State[K] } & { out: Array<Payload> }

type Line = JsonObject & { readonly type: string }

export const ephemeral = (draft: Draft, json: Line): void => {
  draft.out.push(ProtocolPayload.make({ ...json, session_id: draft.sessionId }))
}

/** Writes a line under the next uuid and answers that uuid. */
export const line = (draft: Draft, json: Line): string => {
  const uuid = idOf(draft, `${draft.lines}`)
  draft.lines += 1
  draft.out.push(ProtocolPayload.make({ ...json, session_id: draft.sessionId, uuid }))
  return uuid
}

/** The uuid of a thing of this start of the agent. */
export const idOf = (draft: Draft, name: string): string => uuid5(draft.run, `${draft.acpSessionId} ${name}`)

export const promptNow = (draft: Draft): string | null => draft.turn?.prompt ?? draft.lastPrompt

export const attribution = (prompt: string | null): JsonObject =>
  prompt === null ? {} : { user_message_uuid: prompt }

/** A message in the person's place that no person wrote. */
export const synthetic = (draft: Draft, content: unknown, more: JsonObject): string =>
  line(draft, {
    type: "user",
    message: { role: "user", content },
    isSynthetic: true,
    parent_tool_use_id: null,
    ...more
  })

export const modelOf = (draft: Draft): string => Settings.model(draft.settings) ?? draft.agent.name

export const replaced = <K, V>(map: ReadonlyMap<K, V>, key: K, value: V): ReadonlyMap<K, V> =>
  new Map(map).set(key, value)

export const without = <K, V>(map: ReadonlyMap<K, V>, key: K): ReadonlyMap<K, V> => {
  const next = new Map(map)
  next.delete(key)
  return next
}
