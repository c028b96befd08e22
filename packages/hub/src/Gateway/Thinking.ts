/** Levels of thinking, and what they ask of an agent. */

/** Words for thinking levels that people use. */
const thinkingAliases: { readonly [word: string]: string } = {
  on: "low",
  enable: "low",
  enabled: "low",
  none: "off",
  disable: "off",
  disabled: "off",
  min: "minimal",
  think: "minimal",
  mid: "medium",
  med: "medium",
  ultra: "high",
  highest: "high",
  "x-high": "xhigh",
  maximum: "max",
  auto: "adaptive"
}
const knownLevels = new Set(["off", "minimal", "low", "medium", "high", "xhigh", "adaptive", "max"])

/** The level that a word stands for; undefined where it stands for none. */
export const normalize = (text: string): string | undefined => {
  const word = text.trim().toLowerCase()
  const level = thinkingAliases[word] ?? word
  return knownLevels.has(level) ? level : undefined
}

/** Tokens for thinking that a level stands for. */
const thinkingTokens: { readonly [level: string]: number } = {
  off: 0,
  minimal: 1024,
  low: 4096,
  medium: 10_000,
  high: 31_999,
  xhigh: 63_999,
  max: 63_999
}

/** The budget of a level; undefined where it has none of its own, and the agent keeps its default. */
export const tokensOf = (level: string | null | undefined): number | undefined =>
  level === null || level === undefined ? undefined : thinkingTokens[level]
