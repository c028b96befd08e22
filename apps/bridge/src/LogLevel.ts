/** How much is logged to standard error: `--log-level`, else `CAUSEWAY_LOG_LEVEL`, else warnings and worse. */
import * as Either from "effect/Either"
import * as EffectLogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Flag from "./Cli/Flag.ts"

/** From the least to say to the most. */
const levels = {
  none: EffectLogLevel.None,
  fatal: EffectLogLevel.Fatal,
  error: EffectLogLevel.Error,
  warning: EffectLogLevel.Warning,
  info: EffectLogLevel.Info,
  debug: EffectLogLevel.Debug,
  trace: EffectLogLevel.Trace,
  all: EffectLogLevel.All
} as const

export type LogLevel = EffectLogLevel.LogLevel

type Name = keyof typeof levels

const names: ReadonlyArray<Name> = ["none", "fatal", "error", "warning", "info", "debug", "trace", "all"]

export const flag = Flag.choice("log-level", {
  value: "LEVEL",
  choices: names,
  description: "How much is logged (CAUSEWAY_LOG_LEVEL)"
})

/** The level that was asked for. The left side says what is wrong with the variable. */
export const of = (
  given: ReadonlyArray<string>,
  variable: string | undefined
): Either.Either<LogLevel, string> => {
  const named = given.length > 0 || variable === undefined || variable === ""
  return Either.mapBoth(flag.read(named ? given : [variable.toLowerCase()]), {
    onLeft: (why) => `${named ? "--log-level" : "CAUSEWAY_LOG_LEVEL"} ${why}`,
    onRight: Option.match({ onNone: () => levels.warning, onSome: (name) => levels[name] })
  })
}
