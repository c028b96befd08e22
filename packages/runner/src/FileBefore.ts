/**
 * The content of a file that an agent asks to change, read where the agent works: below its directory, plain files, at
 * most `FileChange.BEFORE_MAX` bytes. What cannot be read is said in words, never left out.
 */
import { realpath } from "node:fs/promises"
import type { Payload } from "@causeway/protocol/Payload"
import * as FileChange from "@causeway/transcript/FileChange"
import { array, name, object, string } from "@causeway/transcript/Read"
import * as Effect from "effect/Effect"
import * as Confinement from "./Confinement.ts"

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
  const { bytes, size } = await Confinement.readStart(path, FileChange.BEFORE_MAX)
  if (size > FileChange.BEFORE_MAX) return without("too_large", size)
  if (bytes.includes(0)) return without("binary", size)
  try {
    return { state: "text", text: decoder.decode(bytes), bytes: size }
  } catch {
    return without("binary", size)
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

/** The content of the file that a request wants to change; null where it asks for something else. */
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
