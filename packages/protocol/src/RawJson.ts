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
  let i = at + 1
  while (i < text.length) {
    const c = text.charCodeAt(i)
    if (c === 92) i += 2
    else if (c === 34) return i + 1
    else i++
  }
  return i
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
