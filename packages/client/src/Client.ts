/** Every service of this package at once, for programs that want them all. */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Layer from "effect/Layer"
import * as ClientConfig from "./ClientConfig.ts"
import * as CodeSession from "./CodeSession.ts"
import type { Credentials } from "./Credentials.ts"
import * as Environments from "./Environments.ts"
import * as Ingress from "./Ingress.ts"
import * as Poller from "./Poller.ts"
import * as SessionManager from "./SessionManager.ts"
import * as Sessions from "./Sessions.ts"
import * as Teleport from "./Teleport.ts"
import * as Viewer from "./Viewer.ts"

export type Client =
  | ClientConfig.ClientConfig
  | CodeSession.CodeSession
  | Environments.Environments
  | Ingress.Ingress
  | Poller.Poller
  | SessionManager.SessionManager
  | Sessions.Sessions
  | Teleport.Teleport
  | Viewer.Viewer

export interface Options extends ClientConfig.Options {
  readonly ingress?: Ingress.Options
}

/** The services of one hub. Who calls (`Credentials`) and how (`HttpClient`) is the caller's choice. */
export const layer = (options: Options): Layer.Layer<Client, never, HttpClient.HttpClient | Credentials> =>
  Layer.mergeAll(
    CodeSession.layer,
    SessionManager.layer,
    Sessions.layer,
    Viewer.layer,
    Poller.layer,
    Teleport.layer
  ).pipe(
    Layer.provideMerge(Layer.mergeAll(Environments.layer, Ingress.layer(options.ingress))),
    Layer.provideMerge(ClientConfig.layer(options))
  )
