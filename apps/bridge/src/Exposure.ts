/** Who can reach a hub with these flags, and whether that was meant: decided before anything listens. */
import { readFileSync } from "node:fs"
import * as Networks from "@causeway/hub/Networks"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Failure } from "./Failure.ts"
import type * as Flags from "./Flags.ts"

/** TLS of the hub's own, in PEM. */
export interface Tls {
  readonly cert: string
  readonly key: string
}

type Exposing = Pick<
  Flags.Serving,
  | "host"
  | "publicUrl"
  | "trustedNetwork"
  | "behindProxy"
  | "withoutAuthentication"
  | "tlsCert"
  | "tlsKey"
  | "trustedProxy"
>

/** This machine alone. */
export const isOwn = (host: string): boolean =>
  host === "localhost" || Networks.isLoopback(host.replace(/^\[|\]$/g, ""))

/** Why these flags expose more than they say; undefined where they do not. */
export const refusal = (flags: Exposing): Failure | undefined => {
  const host = Option.getOrElse(flags.host, () => "127.0.0.1")
  const hasTls = Option.isSome(flags.tlsCert)
  if (hasTls !== Option.isSome(flags.tlsKey)) {
    return Failure.usage("--tls-cert and --tls-key belong together", "give both files, or neither")
  }
  const isProxied = flags.behindProxy || Option.isSome(flags.publicUrl) || Option.isSome(flags.trustedProxy)
  if (flags.withoutAuthentication && (!isOwn(host) || isProxied)) {
    return Failure.usage(
      "--dangerously-without-authentication lets everybody in who reaches the hub: it is for this machine alone",
      "leave out --host, --public-url, --behind-proxy and --trusted-proxy"
    )
  }
  const isEncrypted =
    hasTls || flags.behindProxy || Option.exists(flags.publicUrl, (url) => url.startsWith("https:"))
  if (isOwn(host) || isEncrypted || flags.trustedNetwork) return undefined
  return Failure.usage(
    `--host ${host} without TLS: tokens and conversations could be read on the way`,
    "add --tls-cert and --tls-key, --behind-proxy (or an https --public-url) where a proxy encrypts, or --trusted-network where you trust everyone on it"
  )
}

const read = (file: string) =>
  Effect.try({
    try: () => readFileSync(file, "utf8"),
    catch: (error) =>
      Failure.usage(`${file} cannot be read: ${error instanceof Error ? error.message : error}`)
  })

/** Checks the flags, and reads the certificate where there is one. */
export const check = (flags: Exposing): Effect.Effect<Option.Option<Tls>, Failure> =>
  Effect.suspend(() => {
    const refused = refusal(flags)
    if (refused !== undefined) return refused
    return Option.match(Option.all([flags.tlsCert, flags.tlsKey]), {
      onNone: () => Effect.succeedNone,
      onSome: ([cert, key]) => Effect.map(Effect.all({ cert: read(cert), key: read(key) }), Option.some)
    })
  })
