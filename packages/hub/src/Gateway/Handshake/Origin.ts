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

const isOwnName = (host: string): boolean => {
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
  ({ headers, socket }: IncomingMessage): Origin => {
    const caller = Forwarded.read({ peer: socket.remoteAddress, headers }, trusted)
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

/** Why an origin is refused; undefined where it is allowed. `own`: of the address that this hub was told to have. */
export const originRefusal = (
  params: ConnectParams,
  origin: Origin,
  allowed: ReadonlyArray<string>,
  own: string | undefined
): string | undefined => {
  const header = origin.originHeader
  if (header === undefined && !isPage(params) && !isWebchat(params.client)) return undefined
  const url = header !== undefined && URL.canParse(header) ? new URL(header) : undefined
  if (url === undefined || url.host === "") return "origin missing or invalid"
  const given = url.origin.toLowerCase()
  if (given === own || allowed.some((each) => each === "*" || each.toLowerCase() === given)) return undefined
  const host = url.hostname.replace(/^\[|\]$/g, "")
  if (origin.local && (host === "localhost" || Networks.isLoopback(host))) return undefined
  // The page that this hub itself served.
  const asked = `${url.protocol}//${origin.hostHeader ?? ""}`
  return URL.canParse(asked) && new URL(asked).host === url.host ? undefined : "origin not allowed"
}
