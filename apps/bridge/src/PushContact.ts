/** Whom push services write to about this hub, as it is named at the start. */
import * as Contact from "@causeway/hub/Push/Contact"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { ExitCode, Failure } from "./Failure.ts"

/** `--push-contact`, else `CAUSEWAY_PUSH_CONTACT`. */
export const named = (flag: Option.Option<string>): Effect.Effect<Option.Option<string>, Failure> =>
  Effect.gen(function* () {
    const variable = yield* Config.option(Config.nonEmptyString("CAUSEWAY_PUSH_CONTACT")).pipe(Effect.orDie)
    return yield* Option.match(
      Option.orElse(flag, () => variable),
      {
        onNone: () => Effect.succeedNone,
        onSome: (text) =>
          Either.match(Contact.parse(text), {
            onLeft: (why) => new Failure({ message: `--push-contact: ${why}`, exitCode: ExitCode.usage }),
            onRight: Effect.succeedSome
          })
      }
    )
  })

/** Said at the start where some pushes will not come; none otherwise. */
export const notice = (
  contact: Option.Option<string>,
  publicUrl: Option.Option<string>
): Option.Option<string> =>
  Option.isSome(Contact.of(Option.getOrUndefined(contact), Option.getOrUndefined(publicUrl)))
    ? Option.none()
    : Option.some(Contact.MISSING)
