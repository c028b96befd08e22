/**
 * The secret of a work item: base64url of a JSON object, version 1. Source: spec 1 §5, spec 5 §3.6.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

/** Rights of a work secret: writing one session's log through `apiBaseUrl`. */
export interface WorkSecret {
  readonly version: 1
  readonly sessionIngressToken: Redacted.Redacted
  /** Where the session's calls go; the caller's own base URL where the secret names none. */
  readonly apiBaseUrl: string | undefined
}

/** The secret is of a version that this program does not know; the work cannot be done here. */
export class WorkSecretVersionUnsupported extends Schema.TaggedError<WorkSecretVersionUnsupported>()(
  "WorkSecretVersionUnsupported",
  { version: Schema.Unknown }
) {
  override get message(): string {
    return `work secret version ${JSON.stringify(this.version)} is not supported (this program knows 1): upgrade Causeway`
  }
}

/** The secret is not base64url JSON, or lacks its token. Never quotes the secret. */
export class WorkSecretInvalid extends Schema.TaggedError<WorkSecretInvalid>()("WorkSecretInvalid", {
  issue: Schema.String
}) {
  override get message(): string {
    return `work secret is not readable: ${this.issue}`
  }
}

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value.length > 0 ? value : undefined

/** Reads a secret. `sessions_token` is accepted for `session_ingress_token`; no version means 1. */
export const decode = (
  secret: string
): Effect.Effect<WorkSecret, WorkSecretVersionUnsupported | WorkSecretInvalid> =>
  Effect.suspend((): Effect.Effect<WorkSecret, WorkSecretVersionUnsupported | WorkSecretInvalid> => {
    const raw = Encoding.decodeBase64UrlString(secret.replace(/=+$/, ""))
    if (Either.isLeft(raw)) return new WorkSecretInvalid({ issue: "not base64url" })
    let json: unknown
    try {
      json = JSON.parse(raw.right)
    } catch {
      return new WorkSecretInvalid({ issue: "not JSON" })
    }
    if (typeof json !== "object" || json === null || Array.isArray(json)) {
      return new WorkSecretInvalid({ issue: "not a JSON object" })
    }
    const fields = json as { readonly [key: string]: unknown }
    const version = fields["version"] ?? 1
    if (version !== 1) return new WorkSecretVersionUnsupported({ version })
    const token = text(fields["session_ingress_token"]) ?? text(fields["sessions_token"])
    if (token === undefined) return new WorkSecretInvalid({ issue: "no session_ingress_token" })
    return Effect.succeed({
      version: 1 as const,
      sessionIngressToken: Redacted.make(token),
      apiBaseUrl: text(fields["api_base_url"])
    })
  })

/** Writes a secret, with the token under both of its names. */
export const encode = (secret: {
  readonly sessionIngressToken: string
  readonly apiBaseUrl: string
}): string =>
  Encoding.encodeBase64Url(
    JSON.stringify({
      version: 1,
      session_ingress_token: secret.sessionIngressToken,
      sessions_token: secret.sessionIngressToken,
      api_base_url: secret.apiBaseUrl
    })
  )
