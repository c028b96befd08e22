/** Where a connection comes from, and which pages may connect. */
import type { IncomingMessage } from "node:http"
import type { ConnectParams } from "@causeway/protocol/Gateway/Frames"
import * as Forwarded from "../../Forwarded.ts"
import * as Networks from "../../Networks.ts"

export interface Origin {
  /** Of the caller: a trusted proxy's word counts. */
  readonly remoteAddress: string | undefined
  /** From this machine, with no proxy in between. */
  readonly local: boolean
  readonly originHeader: string | undefined
  /** The host that the caller named, with or without a port. */
  readonly hostHeader: string | undefined
}

/** A name or an address of loopback, with or without a port. */
export const isOwnName = (host: string): boolean => {
  const name = host.replace(/:\d+$/, "").replace(/^\[|\]$/g, "")
  return /^(.*\.)?localhost$/i.test(name) || Networks.isLoopback(name)
}

/**
 * Tells where requests come from. Local is what this machine sent to itself: a proxy's headers, a host that others use, or
 * the page of the public address show somebody in between, who may be asked by anybody.
 */
export const originOf =
  ({
    publicOrigin,
    trusted
  }: {
    readonly publicOrigin: string | undefined
    readonly trusted: Networks.Networks
  }) =>
  (request: IncomingMessage): Origin => {
    const { headers, socket } = request
    const caller = Forwarded.read(Forwarded.arrivedOf(request), trusted)
    const ofOthers = publicOrigin !== undefined && !isOwnName(new URL(publicOrigin).host)
    return {
      remoteAddress: caller.address,
      local:
        Networks.isLoopback(socket.remoteAddress) &&
        !caller.proxied &&
        (headers.host === undefined || isOwnName(headers.host)) &&
        !(ofOthers && headers.origin === publicOrigin),
      originHeader: headers.origin,
      hostHeader: caller.host
    }
  }

export const isPage = ({ client }: ConnectParams): boolean => client.id === "openclaw-control-ui"

/** `webchat`, unless it is the page. */
export const isWebchat = (client: ConnectParams["client"]): boolean =>
  client.id !== "openclaw-control-ui" && (client.mode === "webchat" || client.id === "webchat-ui")

const NO_ORIGIN = "origin missing or invalid"

/**
 * Why a page may not connect; undefined where it may, or where no page asks. `allowed` are exact origins or `*`; `own` is
 * that of the address that this hub was told to have.
 */
export const foreignPage = (
  { hostHeader, local, originHeader }: Origin,
  allowed: ReadonlyArray<string>,
  own: string | undefined
): string | undefined => {
  if (originHeader === undefined) return undefined
  const url = URL.canParse(originHeader) ? new URL(originHeader) : undefined
  if (url === undefined || url.host === "") return NO_ORIGIN
  const given = url.origin.toLowerCase()
  if (given === own || allowed.some((each) => each === "*" || each.toLowerCase() === given)) return undefined
  if (local && isOwnName(url.host)) return undefined
  // The page that this hub itself served.
  const asked = `${url.protocol}//${hostHeader ?? ""}`
  return URL.canParse(asked) && new URL(asked).host === url.host ? undefined : "origin not allowed"
}

/** The same for a client that says what it is: pages name where they come from. */
export const originRefusal = (
  params: ConnectParams,
  origin: Origin,
  allowed: ReadonlyArray<string>,
  own: string | undefined
): string | undefined =>
  origin.originHeader === undefined
    ? isPage(params) || isWebchat(params.client)
      ? NO_ORIGIN
      : undefined
    : foreignPage(origin, allowed, own)
