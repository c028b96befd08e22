/**
 * Files as the agent read them: confined to its working directory, at most 10 MiB, hashed. Source: spec 3 (preface).
 *
 * What the tool's result holds is preferred, because it is what the agent saw; the file on disk stands in where the
 * result does not hold the whole, and may be newer.
 */
import { createHash } from "node:crypto"
import { constants } from "node:fs"
import { open, realpath } from "node:fs/promises"
import { resolve, sep } from "node:path"
import * as Payload from "@causeway/protocol/Payload"
import { uuid5 } from "@causeway/protocol/Uuid5"
import * as Read from "@causeway/transcript/Read"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

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

/** The real path, where it lies in the directory; links are followed before that is decided. */
const confined = async (directory: string, path: string): Promise<string | undefined> => {
  const root = await realpath(directory)
  const found = await realpath(resolve(root, path))
  return found.startsWith(root.endsWith(sep) ? root : `${root}${sep}`) ? found : undefined
}

const fromDisk = async (
  toolUseId: string,
  directory: string,
  path: string
): Promise<Snapshot | undefined> => {
  const real = await confined(directory, path)
  if (real === undefined) return undefined
  // No link is followed any more, and a pipe or device does not hold this up.
  const file = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const stat = await file.stat()
    if (!stat.isFile()) return undefined
    const content = Buffer.alloc(Math.min(stat.size, MAX_BYTES))
    let length = 0
    while (length < content.length) {
      const { bytesRead } = await file.read(content, length, content.length - length, length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return make(toolUseId, path, content.subarray(0, length), stat.size > MAX_BYTES)
  } finally {
    await file.close()
  }
}

/** The snapshot of a `Read` whose result is in `json`; none where the file is outside, gone, or not a plain file. */
export const take = (
  directory: string,
  toolUseId: string,
  path: string,
  json: Payload.JsonObject
): Effect.Effect<Option.Option<Snapshot>> =>
  Effect.promise(async () => {
    try {
      if ((await confined(directory, path)) === undefined) return Option.none()
      const file = Read.object(Read.object(json["tool_use_result"] ?? json["toolUseResult"])["file"])
      const { content, numLines, startLine, totalLines } = file
      if (typeof content === "string" && (startLine ?? 1) === 1 && numLines === totalLines) {
        return Option.some(make(toolUseId, path, Buffer.from(content), false))
      }
      return Option.fromNullable(await fromDisk(toolUseId, directory, path))
    } catch {
      // Gone, or not to be read: there is nothing to keep.
      return Option.none()
    }
  })
