/**
 * Mends a transcript on its way to a model. The log keeps what was said as it was said; one block that a model refuses
 * would be refused again with every later turn.
 *
 * Nothing else changes. Subagents' lines, reports and notes pass untouched.
 */
import { array, isSubagent, type JsonObject, object, string } from "./Read.ts"
import { isResult, isServerUse, Names, parts, same, withContent } from "./RepairContent.ts"
import { type Repairs, Tally } from "./Repairs.ts"

export { message } from "./RepairContent.ts"

/** One line of a transcript. */
export interface Line {
  readonly json: JsonObject
  readonly uuid?: string | undefined
}

export interface Repaired<L extends Line> {
  readonly lines: ReadonlyArray<L>
  readonly repairs: Repairs
}

/** Each uuid once, without the lines that a later one replaces. Source: spec 4 §1 (`supersedes`). */
export const current = <L extends Line>(lines: ReadonlyArray<L>): ReadonlyArray<L> => {
  const seen = new Set<string>()
  const superseded = new Set<unknown>()
  return lines
    .filter(({ uuid }) => {
      if (uuid === undefined) return true
      const isFirst = !seen.has(uuid)
      seen.add(uuid)
      return isFirst
    })
    .toReversed()
    .flatMap((line): ReadonlyArray<L> => {
      const stays = line.uuid === undefined || !superseded.has(line.uuid)
      const { supersedes, ...json } = object(line.json)
      for (const replaced of array(supersedes)) {
        if (typeof replaced === "string" && replaced !== "") superseded.add(replaced)
      }
      if (!stays) return []
      // Done with: what it replaced is not there any more.
      return supersedes === undefined ? [line] : [{ ...line, json }]
    })
    .toReversed()
}

/** Whether a line is a message of the main conversation, which a model is sent. */
const isMessage = (json: JsonObject): boolean =>
  object(json) === json &&
  (json["type"] === "user" || json["type"] === "assistant") &&
  !isSubagent(json) &&
  json["isReplay"] !== true

const isBoundary = (json: JsonObject): boolean =>
  object(json) === json && json["type"] === "system" && json["subtype"] === "compact_boundary"

// --- Tool calls and their results ---

const blocksOf = (json: JsonObject): ReadonlyArray<JsonObject> =>
  array(object(json["message"])["content"]).map(object)

const lost = (id: string): JsonObject => ({
  type: "tool_result",
  tool_use_id: id,
  is_error: true,
  content: "[The tool was cut off: what it answered is not known.]"
})

/** Where in a segment the result of a tool call stands. */
interface Place {
  readonly line: number
  readonly block: JsonObject
}

/**
 * The parts that stand alone of calls which a server runs: these are answered within the agent's own words, before a
 * person's or a tool's.
 */
const servedAlone = (lines: ReadonlyArray<JsonObject>): ReadonlySet<JsonObject> => {
  const alone = new Set<JsonObject>()
  const known = new Set<string>()
  let open = new Map<string, JsonObject>()
  for (const json of lines) {
    if (json["type"] === "user") open = new Map()
    else
      for (const block of blocksOf(json)) {
        const id = string(isServerUse(block["type"]) ? block["id"] : block["tool_use_id"]) ?? ""
        const call = open.get(id)
        if (isServerUse(block["type"])) {
          alone.add(block)
          if (id !== "" && !known.has(id)) open.set(id, block)
          known.add(id)
        } else if (isResult(block["type"])) {
          if (call === undefined) alone.add(block)
          else alone.delete(call)
          open.delete(id)
        }
      }
  }
  return alone
}

/** What all parts of a transcript share. */
interface Mending {
  readonly names: Names
  readonly tally: Tally
  readonly uuid: () => string
  /** Tool calls so far, those before a compaction too. */
  readonly known: Set<string>
}

/** The lines between two compactions, in which every tool call is followed by its result and every result has a call. */
const segment = <L extends Line>(
  given: ReadonlyArray<L>,
  { known, names, tally, uuid }: Mending
): ReadonlyArray<L> => {
  const uses = new Set<string>()
  const sound = given.flatMap((line): ReadonlyArray<L> => {
    if (!isMessage(line.json)) return [line]
    const json = parts(line.json, names, tally)
    return json === null ? [] : [{ ...line, json }]
  })
  const served = servedAlone(sound.filter(({ json }) => isMessage(json)).map(({ json }) => json))
  /** Without the parts that `stays` does not keep; a line of which nothing is left is no message any more. */
  const filtered = (line: L, stays: (block: JsonObject) => boolean): L | undefined => {
    const blocks = blocksOf(line.json)
    const kept = blocks.filter((block) => {
      const keeps = stays(block)
      if (!keeps) tally.add(isResult(block["type"]) ? "orphan_tool_result" : "unanswered_tool_use")
      return keeps
    })
    return kept.length === blocks.length
      ? line
      : kept.length === 0
        ? undefined
        : { ...line, json: withContent(line.json, kept) }
  }
  // Calls that come twice, and those of a server that stand alone, go.
  const called = sound.flatMap((line) => {
    if (!isMessage(line.json) || line.json["type"] !== "assistant") return [line]
    return (
      filtered(line, (block) => {
        if (block["type"] !== "tool_use") return !served.has(block)
        const id = String(block["id"])
        if (known.has(id)) return false
        known.add(id)
        uses.add(id)
        return true
      }) ?? []
    )
  })
  // Results of no call, and those that come again, go.
  const results = new Map<string, Place>()
  const lines = called.flatMap((line) => {
    if (!isMessage(line.json) || line.json["type"] !== "user") return [line]
    return (
      filtered(line, (block) => {
        if (block["type"] !== "tool_result") return true
        const id = string(block["tool_use_id"]) ?? ""
        if (!uses.has(id) || results.has(id)) return false
        results.set(id, { line: 0, block })
        return true
      }) ?? []
    )
  })
  for (const [at, { json }] of lines.entries()) {
    if (!isMessage(json) || json["type"] !== "user") continue
    for (const block of blocksOf(json)) {
      if (block["type"] === "tool_result") results.set(String(block["tool_use_id"]), { line: at, block })
    }
  }

  const out: Array<L> = []
  const done = new Set<number>()
  const parted = new Set<number>()
  const stays = new Set<number>()
  let open: Array<string> = []
  let last: L | undefined
  /** A line put where it did not stand: its parent is the one before it. */
  const placed = (line: L, json: JsonObject, name: string | undefined): L => {
    const { parentUuid: _, ...rest } = json
    return {
      ...line,
      uuid: name,
      json: name === undefined || name === line.uuid ? rest : { ...rest, uuid: name }
    }
  }
  /** Whether the lines from `at` on answer every open call and say nothing else before they have; these stay. */
  const inPlace = (at: number): boolean => {
    const waiting = new Set(open)
    const here: Array<number> = []
    for (let n = at; n < lines.length && waiting.size > 0; n++) {
      const json = lines[n]?.json ?? {}
      if (!isMessage(json)) continue
      if (json["type"] !== "user") return false
      const blocks = blocksOf(json)
      const ids = blocks.flatMap((block) =>
        block["type"] === "tool_result" ? [String(block["tool_use_id"])] : []
      )
      // Words may stand behind the last results only.
      const words = blocks.findIndex(({ type }) => type !== "tool_result")
      if (ids.length === 0 || !ids.every((id) => waiting.delete(id))) return false
      if (words >= 0 && (words < ids.length || waiting.size > 0)) return false
      here.push(n)
    }
    if (waiting.size > 0) return false
    for (const n of here) stays.add(n)
    return true
  }
  /** Answers every open call, at line `at`. */
  const settle = (at: number): void => {
    if (open.length === 0 || last === undefined) return
    if (inPlace(at)) {
      open = []
      return
    }
    const from = new Map<number, Array<JsonObject>>()
    const missing: Array<string> = []
    for (const id of open) {
      const place = results.get(id)
      if (place === undefined) missing.push(id)
      else from.set(place.line, [...(from.get(place.line) ?? []), place.block])
    }
    open = []
    for (const [where, blocks] of [...from].sort(([a], [b]) => a - b)) {
      const line = lines[where]
      if (line === undefined) continue
      const all = blocksOf(line.json)
      if (same(all, blocks)) {
        if (lines.slice(at, where).some((each, n) => isMessage(each.json) && !done.has(at + n)))
          tally.add("out_of_order")
        out.push(placed(line, line.json, line.uuid))
        done.add(where)
      } else {
        tally.add("out_of_order")
        // The first part of a line that holds nothing else keeps its name.
        const keeps = !parted.has(where) && all.every((each) => each["type"] === "tool_result")
        parted.add(where)
        out.push(placed(line, withContent(line.json, blocks), keeps ? line.uuid : uuid()))
      }
    }
    if (missing.length > 0) {
      for (const _ of missing) tally.add("unanswered_tool_use")
      const json = { type: "user", message: { role: "user", content: missing.map(lost) } }
      out.push(placed(last, json, uuid()))
    }
  }
  for (const [at, line] of lines.entries()) {
    const { json } = line
    if (!isMessage(json)) {
      out.push(line)
      continue
    }
    if (json["type"] === "assistant") {
      if (!out.some((each) => isMessage(each.json))) {
        // A model takes no conversation that it began itself.
        tally.add("no_beginning")
        const content = "[What was said before this is not in the record.]"
        out.push(placed(line, { type: "user", message: { role: "user", content } }, uuid()))
      }
      last = line
      for (const block of blocksOf(json)) if (block["type"] === "tool_use") open.push(String(block["id"]))
      out.push(line)
      continue
    }
    settle(at)
    if (done.has(at)) continue
    const blocks = blocksOf(json)
    if (stays.has(at) || !blocks.some((block) => block["type"] === "tool_result")) out.push(line)
    else {
      // Its results stand where their calls are, or belong to none.
      const rest = blocks.filter((block) => block["type"] !== "tool_result")
      if (rest.length > 0) out.push(placed(line, withContent(json, rest), line.uuid))
    }
  }
  settle(lines.length)
  return out
}

/**
 * A transcript that a model takes, from lines each of which stands for itself (none twice, none replaced). `uuid` names
 * what had to be added. A compaction parts the lines: a model is sent what follows it.
 */
export const transcript = <L extends Line>(lines: ReadonlyArray<L>, uuid: () => string): Repaired<L> => {
  const mending: Mending = { names: new Names(), tally: new Tally(), uuid, known: new Set() }
  const out: Array<L> = []
  let from = 0
  for (const [at, line] of lines.entries()) {
    if (!isBoundary(line.json)) continue
    out.push(...segment(lines.slice(from, at), mending), line)
    from = at + 1
  }
  out.push(...segment(lines.slice(from), mending))
  return { lines: out, repairs: mending.tally.counts }
}
