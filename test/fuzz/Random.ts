/** Values that a hostile or broken client may send: of a schema, then damaged. The same seed gives the same ones. */
import * as Arbitrary from "effect/Arbitrary"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"

/** Numbers from 0 up to 1 (mulberry32). */
export type Random = () => number

export const random = (seed: number): Random => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

export const pick = <A>(next: Random, from: ReadonlyArray<A>): A => {
  if (from.length === 0) throw new Error("nothing to choose from")
  // One of them may be undefined itself.
  return from[Math.floor(next() * from.length)] as A
}

const nested = (levels: number): unknown => {
  let value: unknown = 1
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { a: value }
  return value
}

/** Values that stand where others are expected. */
const hostile: ReadonlyArray<(next: Random) => unknown> = [
  () => null,
  () => true,
  () => -1,
  () => Number.MAX_SAFE_INTEGER,
  () => 1e308,
  () => 0.5,
  () => "",
  () => " ",
  () => "\u0000\u001b[2J\ud800\u202e",
  () => "__proto__",
  () => "../../etc/passwd",
  (next) => "x".repeat(Math.floor(next() * 100_000)),
  (next) => nested(Math.floor(next() * 300)),
  (next) => nested(pick(next, [255, 256, 257, 1001, 5000])),
  (next) => Array.from({ length: Math.floor(next() * 500) }, (_, i) => i),
  (next) => Object.fromEntries(Array.from({ length: Math.floor(next() * 200) }, (_, i) => [`k${i}`, i])),
  () => ({ constructor: { name: 1 }, toString: null, length: -1 })
]

/** A copy in which one part, at any depth, is another value, gone or doubled. */
export const damaged = (next: Random, value: unknown): unknown => {
  if (typeof value !== "object" || value === null || next() < 0.15) return pick(next, hostile)(next)
  if (Array.isArray(value)) {
    if (value.length === 0) return [pick(next, hostile)(next)]
    const at = Math.floor(next() * value.length)
    return next() < 0.2
      ? [...value, ...value]
      : value.map((each, index) => (index === at ? damaged(next, each) : each))
  }
  const names = Object.keys(value)
  if (names.length === 0 || next() < 0.15) return { ...value, surplus: pick(next, hostile)(next) }
  const name = pick(next, names)
  const { [name]: part, ...rest }: { [name: string]: unknown } = { ...value }
  return next() < 0.2 ? rest : { ...rest, [name]: damaged(next, part) }
}

/** Values of a schema as they stand on the wire; empty where it has no generator. */
export const samples = (schema: Schema.Schema.Any, seed: number, count: number): ReadonlyArray<unknown> => {
  try {
    const arbitrary = Arbitrary.make(Schema.encodedSchema(schema as Schema.Schema<unknown>))
    return FastCheck.sample(arbitrary, { seed, numRuns: count })
  } catch {
    return [{}]
  }
}

/** A value's JSON, however deep it is. */
export const text = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? "null"
  } catch {
    return `${"[".repeat(5000)}${"]".repeat(5000)}`
  }
}

/** Text that is no JSON, or hardly. */
export const junk = (next: Random): string =>
  pick(next, [
    () => "",
    () => "{",
    () => "nul",
    () => '{"a":1,}',
    () => "[".repeat(100_000),
    () => `{"type":"req","id":"${"i".repeat(1000)}"`,
    () => String.fromCharCode(...Array.from({ length: 200 }, () => Math.floor(next() * 0xffff))),
    () => "\u0000".repeat(100),
    () => "1e999999",
    () => '"\\ud800"'
  ])()
