/** How much is logged to standard error: `--log-level` (which the command line library reads), else `CAUSEWAY_LOG_LEVEL`. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as EffectLogLevel from "effect/LogLevel"

/** The default is warnings and worse. */
export const layer: Layer.Layer<never> = Layer.unwrapEffect(
  Config.withDefault(Config.logLevel("CAUSEWAY_LOG_LEVEL"), EffectLogLevel.Warning).pipe(
    Effect.orElseSucceed(() => EffectLogLevel.Warning),
    Effect.map(Logger.minimumLogLevel)
  )
)
