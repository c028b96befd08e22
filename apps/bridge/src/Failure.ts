/** How a command fails: a sentence for a person, the next step, an exit code. */
import * as Schema from "effect/Schema"

/** 0 done, 1 failed, 2 wrong usage, 3 not signed in or refused, 4 not found, 130 interrupted. */
export const ExitCode = { failed: 1, usage: 2, refused: 3, notFound: 4, interrupted: 130 } as const

export class Failure extends Schema.TaggedError<Failure>()("Failure", {
  message: Schema.String,
  /** What the person can do about it. */
  next: Schema.optional(Schema.String),
  /** The person or program has been told already: only the exit code is left. */
  told: Schema.optional(Schema.Boolean),
  exitCode: Schema.optionalWith(Schema.Int, { default: () => ExitCode.failed })
}) {
  static readonly failed = (message: string, next?: string) => new Failure({ message, next })
  static readonly usage = (message: string, next?: string) =>
    new Failure({ message, next, exitCode: ExitCode.usage })
  static readonly refused = (message: string, next?: string) =>
    new Failure({ message, next, exitCode: ExitCode.refused })
  static readonly notFound = (message: string, next?: string) =>
    new Failure({ message, next, exitCode: ExitCode.notFound })
}

/** An error whose own words are all that there is to say. */
export const asFailure = ({ message }: { readonly message: string }): Failure => Failure.failed(message)
