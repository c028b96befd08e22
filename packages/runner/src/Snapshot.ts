/**
 * Files as the agent read them: confined to its working directory, at most 10 MiB, hashed. Source: spec 3 (preface).
 *
 * What the tool's result holds is preferred, because it is what the agent saw; the file on disk stands in where the
 * result does not hold the whole, and may be newer.
 */
import { createHash } from "node:crypto"
import { realpath } from "node:fs/promises"
import * as Payload from "@causeway/protocol/Payload"
import { uuid5 } from "@causeway/protocol/Uuid5"
import * as Read from "@causeway/transcript/Read"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Confinement from "./Confinement.ts"

/** Most bytes of a file that are kept. */
export const MAX_BYTES = 10 * 1024 * 1024

export interface Snapshot {
  readonly toolUseId: string
  /** As the agent gave it. */
  readonly path: string
  readonly content: Buffer
  /** Of the kept content, hexadecimal. */
  readonly sha256: string
  /** Whether the file has more than is kept, or only a part of it was read. */
  readonly truncated: boolean
}

const make = (toolUseId: string, path: string, content: Buffer, truncated: boolean): Snapshot => {
  const kept = content.subarray(0, MAX_BYTES)
  return {
    toolUseId,
    path,
    content: kept,
    sha256: createHash("sha256").update(kept).digest("hex"),
    truncated: truncated || kept.length < content.length
  }
}

/** Most bytes of text that the log carries of a file; the whole of it is kept where the agent works. */
const TEXT_MAX = 64 * 1024

const decoder = new TextDecoder("utf-8", { fatal: true })

const textOf = (content: Buffer): string | null => {
  if (content.length > TEXT_MAX) return null
  try {
    return decoder.decode(content)
  } catch {
    return null
  }
}

/**
 * The line that tells of a snapshot: `{"type":"session_update","file_snapshot":{tool_use_id,path,sha256,bytes,truncated,text}}`.
 * `text` is null where the file is no text, or is longer than 64 KiB.
 */
export const payload = (
  agentSessionId: string,
  { content, path, sha256, toolUseId, truncated }: Snapshot
): Payload.Payload =>
  Payload.make({
    type: "session_update",
    uuid: uuid5(agentSessionId, `snapshot ${toolUseId}`),
    file_snapshot: {
      tool_use_id: toolUseId,
      path,
      sha256,
      bytes: content.length,
      truncated,
      text: textOf(content)
    }
  })

/** The uses of `Read` in an agent's line: path by tool use. */
export const readsIn = (
  json: Payload.JsonObject
): ReadonlyArray<readonly [toolUseId: string, path: string]> =>
  Read.array(Read.object(json["message"])["content"]).flatMap((block) => {
    const { type, name, id, input } = Read.object(block)
    const path = Read.object(input)["file_path"]
    return type === "tool_use" && name === "Read" && typeof id === "string" && typeof path === "string"
      ? [[id, path] as const]
      : []
  })

/** The tool uses whose results a line holds, unless they failed. */
export const resultsIn = (json: Payload.JsonObject): ReadonlyArray<string> =>
  Read.array(Read.object(json["message"])["content"]).flatMap((block) => {
    const { type, tool_use_id: id, is_error: isError } = Read.object(block)
    return type === "tool_result" && typeof id === "string" && isError !== true ? [id] : []
  })

/** The snapshot of a `Read` whose result is in `json`; none where the file is outside, gone, or not a plain file. */
export const take = (
  directory: string,
  toolUseId: string,
  path: string,
  json: Payload.JsonObject
): Effect.Effect<Option.Option<Snapshot>> =>
  Effect.gen(function* () {
    const root = yield* Effect.tryPromise(() => realpath(directory))
    const confined = yield* Confinement.within(root, path)
    const real = yield* Effect.tryPromise(() => realpath(confined))
    const file = Read.object(Read.object(json["tool_use_result"] ?? json["toolUseResult"])["file"])
    const { content, numLines, startLine, totalLines } = file
    if (typeof content === "string" && (startLine ?? 1) === 1 && numLines === totalLines) {
      return make(toolUseId, path, Buffer.from(content), false)
    }
    const { bytes, size } = yield* Effect.tryPromise(() => Confinement.readStart(real, MAX_BYTES))
    return make(toolUseId, path, bytes, size > MAX_BYTES)
    // Outside, gone, or not to be read: there is nothing to keep.
  }).pipe(Effect.option)
