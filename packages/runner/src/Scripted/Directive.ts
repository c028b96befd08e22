/** What a prompt asks of the scripted agent: one directive at the start of a line, else an echo. Source: spec 4 §3. */

export type Directive =
  | { readonly _tag: "Say"; readonly text: string }
  | { readonly _tag: "Think"; readonly text: string }
  | { readonly _tag: "Slow"; readonly words: number; readonly millis: number }
  | { readonly _tag: "Stream"; readonly words: number; readonly perSecond: number }
  | { readonly _tag: "Read"; readonly path: string }
  | { readonly _tag: "Write"; readonly path: string; readonly text: string }
  | { readonly _tag: "Bash"; readonly command: string }
  | { readonly _tag: "Ask"; readonly question: string; readonly options: ReadonlyArray<string> }
  | { readonly _tag: "Tool"; readonly name: string; readonly input: { readonly [key: string]: unknown } }
  | { readonly _tag: "Todo"; readonly steps: ReadonlyArray<string> }
  | { readonly _tag: "Image" }
  | { readonly _tag: "Subagent"; readonly task: string }
  | { readonly _tag: "Usage"; readonly tokens: number }
  | { readonly _tag: "Compact" }
  /** Tells what it knows of a conversation that was carried here. */
  | { readonly _tag: "Recall" }
  /** Ends the process in mid-turn, `times` times in all for one prompt: the turn's next run after those answers. */
  | { readonly _tag: "Crash"; readonly code: number; readonly times: number }
  | { readonly _tag: "Kill"; readonly times: number }
  | { readonly _tag: "Hang" }
  | { readonly _tag: "Flood"; readonly lines: number }
  | { readonly _tag: "BadLine" }
  | { readonly _tag: "Fail"; readonly text: string }
  | { readonly _tag: "Env" }
  /** Runs something in the background; its end begins a turn of the agent's own. */
  | { readonly _tag: "Background"; readonly millis: number }
  /** Tells what it is set to. */
  | { readonly _tag: "Settings" }
  /** Moves to a permission mode by itself. */
  | { readonly _tag: "Mode"; readonly mode: string }

/** Directives that may also be given as a slash command, at the start of the prompt alone; `init` offers these. */
export const commands: ReadonlyArray<string> = ["compact", "env", "say", "think", "todo"]

const number = (text: string | undefined, otherwise: number): number => {
  const value = text === undefined || text === "" ? Number.NaN : Number(text)
  return Number.isFinite(value) && value >= 0 ? value : otherwise
}

/** First word and the rest. */
const word = (text: string): readonly [string, string] => {
  const at = text.search(/\s/)
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1).trim()]
}

const jsonObject = (text: string): { readonly [key: string]: unknown } => {
  try {
    const value: unknown = JSON.parse(text === "" ? "{}" : text)
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : { value }
  } catch {
    return { text }
  }
}

const directive = (name: string, rest: string): Directive | undefined => {
  const [first, tail] = word(rest)
  switch (name) {
    case "say":
      return { _tag: "Say", text: rest }
    case "think":
      return { _tag: "Think", text: rest }
    case "slow":
      return { _tag: "Slow", words: number(first, 20), millis: number(tail, 200) }
    case "stream":
      return { _tag: "Stream", words: number(first, 200), perSecond: Math.max(1, number(tail, 200)) }
    case "read":
      return { _tag: "Read", path: rest }
    case "write":
      return { _tag: "Write", path: first, text: tail }
    case "bash":
      return { _tag: "Bash", command: rest }
    case "ask": {
      const [question = "", ...options] = rest.split("|").map((part) => part.trim())
      return { _tag: "Ask", question, options: options.length === 0 ? ["Yes", "No"] : options }
    }
    case "tool":
      return { _tag: "Tool", name: first, input: jsonObject(tail) }
    case "todo":
      return { _tag: "Todo", steps: rest.split("|").map((part) => part.trim()) }
    case "image":
      return { _tag: "Image" }
    case "subagent":
      return { _tag: "Subagent", task: rest === "" ? "look around" : rest }
    case "usage":
      return { _tag: "Usage", tokens: number(first, 1000) }
    case "recall":
      return { _tag: "Recall" }
    case "compact":
      return { _tag: "Compact" }
    case "crash":
      return { _tag: "Crash", code: number(first, 1), times: number(tail, 1) }
    case "kill":
      return { _tag: "Kill", times: number(first, 1) }
    case "hang":
      return { _tag: "Hang" }
    case "flood":
      return { _tag: "Flood", lines: number(first, 1000) }
    case "badline":
      return { _tag: "BadLine" }
    case "fail":
      return { _tag: "Fail", text: rest === "" ? "failed as asked" : rest }
    case "env":
      return { _tag: "Env" }
    case "background":
      return { _tag: "Background", millis: number(first, 1000) }
    case "settings":
      return { _tag: "Settings" }
    case "mode":
      return { _tag: "Mode", mode: first === "" ? "default" : first }
    default:
      return undefined
  }
}

/** A slash command, or the first line that holds a known directive, decides; without one the prompt is echoed. */
export const parse = (prompt: string): Directive => {
  const command = /^\/([a-z]+)(?:\s+([\s\S]*?))?\s*$/.exec(prompt)
  if (command !== null && commands.includes(command[1] ?? "")) {
    const found = directive(command[1] ?? "", command[2] ?? "")
    if (found !== undefined) return found
  }
  for (const line of prompt.split("\n")) {
    const match = /^!([a-z]+)(?:\s+(.*?))?\s*$/.exec(line)
    if (match === null) continue
    const found = directive(match[1] ?? "", match[2] ?? "")
    if (found !== undefined) return found
  }
  return { _tag: "Say", text: `echo: ${prompt}` }
}
