/**
 * Tokens of the main context. Every assistant line tells the usage of its message so far, so the latest line of a
 * message replaces the ones before; lines of subagents do not count; the `usage` and totals of `result` lines are
 * cumulative and are not taken for the context. Source: spec 3 §2 (Tokens), spec 4 §1 (Result and usage).
 */
import { amount, isSubagent, type JsonObject, object } from "./Read.ts"

/** Token counts of one message. */
export interface Usage {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly cacheReadTokens: number
  readonly cacheCreationTokens: number
}

/** The usage that `value` tells, or null where it tells none. Missing counters are 0. */
export const read = (value: unknown): Usage | null => {
  const usage = object(value)
  const inputTokens = amount(usage["input_tokens"])
  const outputTokens = amount(usage["output_tokens"])
  const cacheReadTokens = amount(usage["cache_read_input_tokens"])
  const cacheCreationTokens = amount(usage["cache_creation_input_tokens"])
  if ((inputTokens ?? outputTokens ?? cacheReadTokens ?? cacheCreationTokens) === null) return null
  return {
    inputTokens: inputTokens ?? 0,
    outputTokens: outputTokens ?? 0,
    cacheReadTokens: cacheReadTokens ?? 0,
    cacheCreationTokens: cacheCreationTokens ?? 0
  }
}

/** Tokens that the message left in the context: everything read and everything written. */
export const contextTokens = (usage: Usage): number =>
  usage.inputTokens + usage.outputTokens + usage.cacheReadTokens + usage.cacheCreationTokens

/** The usage that an agent's line adds to the main context, or null where it adds none. */
export const ofLine = (json: JsonObject): Usage | null => {
  if (json["type"] !== "assistant" || isSubagent(json)) return null
  const message = object(json["message"])
  // Messages that the agent's program makes up itself report zeros.
  if (message["model"] === "<synthetic>") return null
  return read(message["usage"])
}

/**
 * Tokens that a model's context holds, the room for its answer taken off. Models whose name says `[1m]` hold a
 * million; all others 200,000. Source: spec 3 §1 (context_limit).
 */
export const contextLimit = (model: string | null): number =>
  (model?.includes("[1m]") === true ? 1_000_000 : 200_000) - 32_000

/** Shares of the context from which it is shown as a warning, and from which it is urgent. */
const WARN = 0.6
const URGENT = 0.9

/** How full a model's context is; `share` is above 1 where the limit is wrong. */
export const filling = (tokens: number, model: string | null) => {
  const share = tokens / contextLimit(model)
  const level = share >= URGENT ? "urgent" : share >= WARN ? "warn" : "ok"
  return { share, percent: Math.round(share * 100), level } as const
}
