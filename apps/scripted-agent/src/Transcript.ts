/**
 * The scripted agent's own record of a conversation: one file of JSON lines, each written before it is said.
 *
 * A line that was stored is said again word for word when its turn is run again, so that whoever reads the output knows
 * it by its uuid.
 */
import { mkdirSync, openSync, readFileSync, writeSync } from "node:fs"
import { dirname } from "node:path"
import { isObject, type Json, parse } from "./Json.ts"

export interface Transcript {
  /** Text of the stored line of that uuid. */
  readonly stored: (uuid: string) => string | undefined
  /** Prompts by uuid, oldest first. */
  readonly prompts: ReadonlyMap<string, Json>
  /** Texts of the lines of a prompt's turn, in order. */
  readonly turn: (promptUuid: string) => ReadonlyArray<string>
  readonly isAnswered: (promptUuid: string) => boolean
  /** The newest result: where the running totals stand. */
  readonly lastResult: () => Json | undefined
  /** How often the turn of a prompt has ended the process on purpose. */
  readonly crashes: (promptUuid: string) => number
  /** Entries of a conversation that was carried here, oldest first: from before this record began. */
  readonly carried: ReadonlyArray<Json>
  readonly addPrompt: (prompt: Json, uuid: string) => void
  /** Stores a line of a prompt's turn; answers its text. */
  readonly addLine: (promptUuid: string, line: Json, uuid: string) => string
  readonly addCrash: (promptUuid: string) => void
}

/** Opens the record at `path`, whether or not there is one. */
export const open = (path: string): Transcript => {
  const texts = new Map<string, string>()
  const prompts = new Map<string, Json>()
  const turns = new Map<string, Array<string>>()
  const answered = new Set<string>()
  const crashes = new Map<string, number>()
  const carried: Array<Json> = []
  let lastResult: Json | undefined

  const take = (line: Json, text: string): void => {
    const { prompt, result, said, turn, type, uuid } = line
    if (typeof uuid !== "string") {
      if (type !== "scripted_prompt" && type !== "scripted_crash") carried.push(line)
    } else if (type === "scripted_prompt") {
      if (isObject(prompt)) prompts.set(uuid, prompt)
    } else if (type === "scripted_crash") crashes.set(uuid, (crashes.get(uuid) ?? 0) + 1)
    else if (typeof said !== "string" || typeof turn !== "string") {
      // An entry of another program's record (a conversation that was carried here): known, and its own turn.
      texts.set(uuid, text)
      carried.push(line)
    } else {
      texts.set(uuid, said)
      const lines = turns.get(turn)
      if (lines === undefined) turns.set(turn, [said])
      else lines.push(said)
      if (result === true) {
        answered.add(turn)
        lastResult = parse(said)
      }
    }
  }

  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const file = openSync(path, "a+", 0o600)
  const text = readFileSync(path, "utf8")
  // The last line of a process that was killed while writing. Nothing was said that is not stored whole.
  let torn = text.length > 0 && !text.endsWith("\n")
  for (const each of text.split("\n")) {
    const line = parse(each)
    if (line !== undefined) take(line, each)
  }

  const append = (line: Json): void => {
    const text = JSON.stringify(line)
    writeSync(file, `${torn ? "\n" : ""}${text}\n`)
    torn = false
    take(line, text)
  }

  return {
    stored: (uuid) => texts.get(uuid),
    prompts,
    turn: (promptUuid) => turns.get(promptUuid) ?? [],
    isAnswered: (promptUuid) => answered.has(promptUuid),
    lastResult: () => lastResult,
    crashes: (promptUuid) => crashes.get(promptUuid) ?? 0,
    carried,
    addPrompt: (prompt, uuid) => append({ type: "scripted_prompt", uuid, prompt }),
    addLine: (turn, line, uuid) => {
      const said = JSON.stringify(line)
      const isResult = line["type"] === "result"
      append({ type: "scripted_line", uuid, turn, said, ...(isResult ? { result: true } : {}) })
      return said
    },
    addCrash: (uuid) => append({ type: "scripted_crash", uuid })
  }
}
