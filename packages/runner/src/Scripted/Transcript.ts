/**
 * The scripted agent's own record of a conversation: one file of JSON lines, each written before it is said.
 *
 * A line that was stored is said again word for word when its turn is run again, so that whoever reads the output knows
 * it by its uuid.
 */
import { existsSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs"
import { dirname } from "node:path"

export type Line = { readonly [key: string]: unknown }

export interface Transcript {
  /** Text of the stored line of that uuid. */
  readonly stored: (uuid: string) => string | undefined
  /** Prompts by uuid, oldest first. */
  readonly prompts: ReadonlyMap<string, Line>
  /** Texts of the lines of a prompt's turn, in order. */
  readonly turn: (promptUuid: string) => ReadonlyArray<string>
  readonly isAnswered: (promptUuid: string) => boolean
  /** The newest result: where the running totals stand. */
  readonly lastResult: () => Line | undefined
  /** How often the turn of a prompt has ended the process on purpose. */
  readonly crashes: (promptUuid: string) => number
  readonly addPrompt: (line: Line, uuid: string) => void
  /** What was said before this record began: entries of a conversation that was carried here, oldest first. */
  readonly carried: ReadonlyArray<Line>
  readonly addLine: (promptUuid: string, line: Line, uuid: string) => string
  readonly addCrash: (promptUuid: string) => void
}

const decode = (text: string): Line | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null ? { ...value } : undefined
  } catch {
    // The last line of a process that was killed while writing. Nothing was said that is not stored whole.
    return undefined
  }
}

export const exists = (path: string): boolean => existsSync(path)

/** Opens the record at `path`, whether or not there is one. */
export const open = (path: string): Transcript => {
  const texts = new Map<string, string>()
  const prompts = new Map<string, Line>()
  const turns = new Map<string, Array<string>>()
  const answered = new Set<string>()
  const crashes = new Map<string, number>()
  const carried: Array<Line> = []
  let lastResult: Line | undefined
  let torn = false

  const take = (line: Line, text: string): void => {
    const { uuid, type } = line
    if (type === "scripted_prompt") {
      const prompt = line["prompt"]
      if (typeof uuid === "string" && typeof prompt === "object" && prompt !== null)
        prompts.set(uuid, { ...prompt })
      return
    }
    if (type === "scripted_crash") {
      if (typeof uuid === "string") crashes.set(uuid, (crashes.get(uuid) ?? 0) + 1)
      return
    }
    const said = line["said"]
    const turn = line["turn"]
    if (typeof uuid !== "string" || typeof said !== "string" || typeof turn !== "string") {
      // An entry of another program's record (a conversation that was carried here): known, and its own turn.
      if (typeof uuid === "string") texts.set(uuid, text)
      carried.push(line)
      return
    }
    texts.set(uuid, said)
    const lines = turns.get(turn)
    if (lines === undefined) turns.set(turn, [said])
    else lines.push(said)
    if (line["result"] === true) {
      answered.add(turn)
      lastResult = decode(said)
    }
  }

  if (existsSync(path)) {
    const text = readFileSync(path, "utf8")
    torn = text.length > 0 && !text.endsWith("\n")
    for (const each of text.split("\n")) {
      const line = each === "" ? undefined : decode(each)
      if (line !== undefined) take(line, each)
    }
  } else {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  }
  const file = openSync(path, "a", 0o600)

  const append = (line: Line): void => {
    const text = JSON.stringify(line)
    writeSync(file, `${torn ? "\n" : ""}${text}\n`)
    torn = false
    take(line, text)
  }

  return {
    stored: (uuid) => texts.get(uuid),
    prompts,
    carried,
    turn: (promptUuid) => turns.get(promptUuid) ?? [],
    isAnswered: (promptUuid) => answered.has(promptUuid),
    lastResult: () => lastResult,
    crashes: (promptUuid) => crashes.get(promptUuid) ?? 0,
    addPrompt: (prompt, uuid) => append({ type: "scripted_prompt", uuid, prompt }),
    addLine: (turn, line, uuid) => {
      const said = JSON.stringify(line)
      append({
        type: "scripted_line",
        uuid,
        turn,
        said,
        ...(line["type"] === "result" ? { result: true } : {})
      })
      return said
    },
    addCrash: (uuid) => append({ type: "scripted_crash", uuid })
  }
}
