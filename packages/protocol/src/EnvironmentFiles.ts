/** The files of an environment's directory, as its metadata tells them: for people who name one before an agent did. */
import type { JsonObject } from "./Payload.ts"

const MEMBER = "files"
/** Longest text of all paths together, in UTF-16 units. */
const TEXT_MAX = 64 * 1024

/** Metadata with as many of the paths as it holds, the first ones. Paths with line breaks are left out. */
export const toMetadata = (files: ReadonlyArray<string>): { readonly [name: string]: string } => {
  const kept: Array<string> = []
  let length = 0
  for (const file of files) {
    if (/[\r\n]/.test(file)) continue
    length += file.length + 1
    if (length > TEXT_MAX) break
    kept.push(file)
  }
  return kept.length === 0 ? {} : { [MEMBER]: kept.join("\n") }
}

/** The paths, relative to the environment's directory; none where its metadata tells none. */
export const fromMetadata = (metadata: JsonObject): ReadonlyArray<string> => {
  const files = metadata[MEMBER]
  return typeof files === "string" ? files.split("\n").filter((file) => file !== "") : []
}
