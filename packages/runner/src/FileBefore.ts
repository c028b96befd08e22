/**
 * What stands in a file that an agent asks to change, read where the agent works: below its directory, plain files, at
 * most `FileChange.BEFORE_MAX` bytes. What cannot be read is said in words, never left out.
 */
import { constants } from "node:fs"
import { open, realpath } from "node:fs/promises"
import type { Payload } from "@causeway/protocol/Payload"
import * as FileChange from "@causeway/transcript/FileChange"
import { array, name, object, string } from "@causeway/transcript/Read"
import * as Effect from "effect/Effect"
import * as Confinement from "./Acp/Confinement.ts"

type Found = Pick<FileChange.Before, "state" | "text" | "bytes">

const without = (state: FileChange.State, bytes: number | null = null): Found => ({
  state,
  text: state === "missing" ? "" : null,
  bytes
})

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const isMissing = (cause: unknown): boolean =>
  cause instanceof Error && "code" in cause && (cause.code === "ENOENT" || cause.code === "ENOTDIR")

const read = async (path: string): Promise<Found> => {
  // No link is followed any more, and a pipe or device does not hold this up.
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const stat = await file.stat()
    if (!stat.isFile()) return without("unreadable")
    if (stat.size > FileChange.BEFORE_MAX) return without("too_large", stat.size)
    const content = Buffer.alloc(FileChange.BEFORE_MAX + 1)
    let length = 0
    while (length < content.length) {
      const { bytesRead } = await file.read(content, length, content.length - length, length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    if (length > FileChange.BEFORE_MAX) return without("too_large", length)
    const bytes = content.subarray(0, length)
    if (bytes.includes(0)) return without("binary", length)
    try {
      return { state: "text", text: decoder.decode(bytes), bytes: length }
    } catch {
      return without("binary", length)
    }
  } finally {
    await file.close()
  }
}

/** The cell of a notebook that is to be changed, as its text. */
const cellOf = (input: unknown, found: Found): Found => {
  const { cell_id: id, cell_number: number, edit_mode: mode, notebook_path: path } = object(input)
  if (typeof path !== "string" || found.state !== "text") return found
  if (mode === "insert") return { state: "text", text: "", bytes: found.bytes }
  try {
    const cells = array(object(JSON.parse(found.text ?? ""))["cells"]).map(object)
    const cell = cells.find((each, at) => each["id"] === id || at === number || `cell-${at}` === id)
    if (cell === undefined) return without("unreadable")
    const source = cell["source"]
    const text = typeof source === "string" ? source : array(source).map(String).join("")
    return { state: "text", text, bytes: found.bytes }
  } catch {
    return without("unreadable")
  }
}

/** What stands in the file that a request wants to change; null where it asks for something else. */
export const of = (
  directory: string,
  request: Pick<Payload, "json" | "type">
): Effect.Effect<ReturnType<typeof FileChange.payload> | null> =>
  Effect.gen(function* () {
    const asked = object(request.json["request"])
    if (request.type !== "control_request" || asked["subtype"] !== "can_use_tool") return null
    const input = asked["input"]
    const toolUseId = name(asked["tool_use_id"])
    const path = FileChange.fileOf(string(asked["tool_name"]) ?? "", input)
    if (toolUseId === null || path === null) return null
    const found = yield* Effect.tryPromise({
      try: () => realpath(directory),
      catch: () => without("unreadable")
    }).pipe(
      Effect.flatMap((root) => Effect.mapError(Confinement.within(root, path), () => without("outside"))),
      Effect.flatMap((real) =>
        Effect.tryPromise({
          try: () => read(real),
          catch: (cause) => without(isMissing(cause) ? "missing" : "unreadable")
        })
      ),
      Effect.merge
    )
    const before: FileChange.Before = { toolUseId, path, ...cellOf(input, found) }
    return FileChange.payload(before, FileChange.countsOf(input, before))
  })
