/**
 * Finds the text of parts of a JSON document without changing it, so that an event inside a larger body is stored
 * as it was sent: number spellings, key order and escapes included.
 */

const skipSpace = (text: string, at: number): number => {
  let i = at
  while (i < text.length) {
    const c = text.charCodeAt(i)
    if (c !== 32 && c !== 9 && c !== 10 && c !== 13) break
    i++
  }
  return i
}

/** End (exclusive) of the string that starts at `at`. */
const endOfString = (text: string, at: number): number => {
  for (let quote = text.indexOf('"', at + 1); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let before = quote - 1
    while (text.charCodeAt(before) === 92) before--
    if ((quote - before) % 2 === 1) return quote + 1
  }
  return text.length
}

/** End (exclusive) of the value that starts at `at`. */
const endOfValue = (text: string, at: number): number => {
  const first = text[at]
  if (first === '"') return endOfString(text, at)
  if (first !== "{" && first !== "[") {
    let i = at
    while (i < text.length && !",]} \t\n\r".includes(text.charAt(i))) i++
    return i
  }
  let depth = 0
  let i = at
  while (i < text.length) {
    const c = text[i]
    if (c === '"') {
      i = endOfString(text, i)
      continue
    }
    if (c === "{" || c === "[") depth++
    else if (c === "}" || c === "]") {
      depth--
      if (depth === 0) return i + 1
    }
    i++
  }
  return i
}

/** Tells of a JSON text whether objects and arrays lie more than `limit` levels within one another. One pass, no parsing. */
export const isDeeperThan = (text: string, limit: number): boolean => {
  // Each level is two brackets.
  if (text.length <= 2 * limit) return false
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === 34) i = endOfString(text, i) - 1
    else if (c === 91 || c === 123) {
      depth++
      if (depth > limit) return true
    } else if (c === 93 || c === 125) depth--
  }
  return false
}

const LEFT_OUT = "[left out: nested too deep]"

const shallow = (value: unknown, levels: number): unknown => {
  if (typeof value !== "object" || value === null) return value
  if (levels === 0) return LEFT_OUT
  if (Array.isArray(value)) return value.map((each) => shallow(each, levels - 1))
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, shallow(each, levels - 1)]))
}

/**
 * A valid JSON text as every reader can take it: itself, or, where it is deeper than `limit`, one that leaves out what lies
 * deeper. For texts that were stored before there was a limit at the doors.
 */
export const upTo = (text: string, limit: number): string =>
  isDeeperThan(text, limit) ? JSON.stringify(shallow(JSON.parse(text), limit)) : text

/** The refusal of what {@link isDeeperThan} a limit. */
export const tooDeep = (limit: number): string =>
  `objects and arrays lie more than ${limit} levels within one another`

/**
 * The text of member `name` of the object that `text` is, or `undefined` where it has none. Of several members of
 * that name the last, as `JSON.parse` takes it. `text` must be valid JSON.
 */
export const member = (text: string, name: string): string | undefined => {
  let i = skipSpace(text, 0)
  if (text[i] !== "{") return undefined
  let found: string | undefined
  i = skipSpace(text, i + 1)
  while (i < text.length && text[i] !== "}") {
    const keyEnd = endOfString(text, i)
    const key: unknown = JSON.parse(text.slice(i, keyEnd))
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1)
    const end = endOfValue(text, start)
    if (key === name) found = text.slice(start, end)
    i = skipSpace(text, end)
    if (text[i] === ",") i = skipSpace(text, i + 1)
  }
  return found
}

/** The texts of the elements of the array that `text` is; none where it is no array. `text` must be valid JSON. */
export const elements = (text: string): ReadonlyArray<string> => {
  const out: Array<string> = []
  let i = skipSpace(text, 0)
  if (text[i] !== "[") return out
  i = skipSpace(text, i + 1)
  while (i < text.length && text[i] !== "]") {
    const end = endOfValue(text, i)
    out.push(text.slice(i, end))
    i = skipSpace(text, end)
    if (text[i] === ",") i = skipSpace(text, i + 1)
  }
  return out
}
