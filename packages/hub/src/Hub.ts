/**
 * A hub, whole: the database, the routes, and what stands behind them.
 */
import { existsSync, realpathSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import type { OrganizationId } from "@causeway/protocol/Ids"
import * as Audit from "@causeway/store/Audit"
import * as Bootstrap from "@causeway/store/Bootstrap"
import * as Bus from "@causeway/store/Bus"
import * as Database from "@causeway/store/Database"
import * as DeviceCodes from "@causeway/store/DeviceCodes"
import * as Environments from "@causeway/store/Environments"
import type { StoreUnavailable } from "@causeway/store/Errors"
import * as FileLock from "@causeway/store/FileLock"
import * as Log from "@causeway/store/Log"
import type { Appends } from "@causeway/store/Log/Appends"
import * as Organizations from "@causeway/store/Organizations"
import * as Overview from "@causeway/store/Overview"
import * as Readiness from "@causeway/store/Readiness"
import * as Retention from "@causeway/store/Retention"
import * as Sessions from "@causeway/store/Session"
import * as Standing from "@causeway/store/Standing"
import * as Tokens from "@causeway/store/Tokens"
import * as Work from "@causeway/store/Work"
import type { PlatformError } from "@effect/platform/Error"
import * as NodeContext from "@effect/platform-node/NodeContext"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as ApiRoutes from "./ApiRoutes.ts"
import * as Attempts from "./Attempts.ts"
import * as AccessTable from "./Auth/AccessTable.ts"
import * as Auth from "./Auth/Auth.ts"
import * as CodeSessionRoutes from "./CodeSessions/Routes.ts"
import * as Streams from "./CodeSessions/Streams.ts"
import * as Config from "./Config.ts"
import * as Connected from "./Connected.ts"
import { TrustedProxies } from "./Forwarded.ts"
import * as GatewayConfig from "./Gateway/Config.ts"
import type { Gateway } from "./Gateway/Gateway.ts"
import * as GatewayLayer from "./Gateway/Layer.ts"
import { AllowedHosts } from "./Hosts.ts"
import type { HotRoute } from "./HotRoutes.ts"
import * as IngressRoutes from "./Ingress/Routes.ts"
import * as Networks from "./Networks.ts"
import * as OpsRoutes from "./Ops/Routes.ts"
import * as Page from "./Page/Page.ts"
import { PublicUrl } from "./PublicUrl.ts"
import * as Server from "./Server.ts"
import * as SessionRoutes from "./Sessions/Routes.ts"
import * as WorkRoutes from "./Work/Routes.ts"

export class Hub extends Context.Tag("@causeway/hub/Hub")<
  Hub,
  {
    readonly host: string
    readonly port: number
    /** `http://host:port`, with a host that this machine reaches. */
    readonly url: string
    /** The oldest organisation. */
    readonly organizationId: OrganizationId
    /** The access token that the first start made; none at later starts. */
    readonly firstToken: Option.Option<Redacted.Redacted>
  }
>() {}

export interface Options extends Partial<Config.HubConfig> {
  /** SQLite file, or `:memory:`. */
  readonly filename: string
  /** Where others reach this hub, base path included; default: the address that each of them used. */
  readonly publicUrl?: string
  /** Proxies whose word of who asks, and how, counts; default: nobody's. */
  readonly trustedProxies?: Networks.Networks
  /** Names under which it answers beside its own ({@link Hosts.make}); default: none. */
  readonly allowedHosts?: ReadonlyArray<string>
  /** Directory of the page's files; default: no page. */
  readonly page?: string
  readonly gateway?: GatewayOptions
}

export interface GatewayOptions extends Partial<GatewayLayer.Options> {
  /** JSON file with agents, keys, retention and origins, read again when it changes; default: none. */
  readonly configFile?: string
  /** The file's mode `none` counts: everybody on this machine is let in. Default false. */
  readonly withoutAuthentication?: boolean
  /** Instead of a file. */
  readonly config?: GatewayConfig.GatewayConfig
}

/** What stands behind the doors; the command line uses it too. */
export type Services =
  | Audit.Audit
  | Appends
  | Bootstrap.Bootstrap
  | Bus.Bus
  | DeviceCodes.DeviceCodes
  | Environments.Environments
  | Log.Log
  | Organizations.Organizations
  | Overview.Overview
  | Readiness.Readiness
  | Retention.Retention
  | Sessions.Sessions
  | SqlClient
  | Standing.Standing
  | Tokens.Tokens
  | Work.WorkQueue

/** The services of the store over one SQLite file. */
export const layerStore = (options: {
  readonly filename: string
}): Layer.Layer<
  Services,
  Database.DatabaseForeign | Database.DatabaseTooNew | Database.DatabaseUnusable | SqlError
> =>
  Bootstrap.layer.pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        Audit.layer,
        DeviceCodes.layer,
        Environments.layer,
        Log.layer,
        Organizations.layer,
        Overview.layer,
        Readiness.layer,
        Retention.layer,
        Sessions.layer,
        Standing.layer,
        Tokens.layer,
        Work.layer
      )
    ),
    Layer.provideMerge(Layer.merge(Bus.layer, Database.layerSqlite(options)))
  )

/** A hub runs on this database already: two would not see what the other one is told. */
export class DatabaseInUse extends Data.TaggedError("DatabaseInUse")<{
  readonly filename: string
  readonly holder: Option.Option<FileLock.Holder>
}> {
  override get message(): string {
    const who = Option.match(this.holder, { onNone: () => "another process", onSome: FileLock.describe })
    return `the database ${this.filename} belongs to a hub that runs: ${who}`
  }
}

/** That this hub is the only one on its database. */
class OnlyHub extends Context.Tag("@causeway/hub/OnlyHub")<OnlyHub, FileLock.Held>() {}

/** One database has one lock, by whatever name it is opened. */
const canonical = (filename: string): string =>
  existsSync(filename) ? realpathSync(filename) : join(realpathSync(dirname(filename)), basename(filename))

const onlyHub = (filename: string): Layer.Layer<OnlyHub, Database.DatabaseUnusable | DatabaseInUse> =>
  filename === ":memory:"
    ? Layer.succeed(OnlyHub, { note: () => Effect.void })
    : Layer.scoped(
        OnlyHub,
        Effect.gen(function* () {
          const file = yield* Effect.orElseSucceed(
            Effect.try(() => canonical(filename)),
            () => resolve(filename)
          )
          return yield* FileLock.hold({ file: `${file}.lock`, record: `${file}.lock.json` })
        }).pipe(
          Effect.catchTags({
            LockHeld: ({ holder }) => new DatabaseInUse({ filename, holder }),
            LockFailed: ({ detail }) => new Database.DatabaseUnusable({ filename, detail })
          })
        )
      )

/** All routes, hot ones first, each with its line of the permission table. The page's files need none. */
const routes = Effect.gen(function* () {
  const lineOf = yield* AccessTable.lines
  const hot = [
    ...(yield* IngressRoutes.routes),
    ...(yield* CodeSessionRoutes.routes),
    ...(yield* Streams.routes),
    ...(yield* SessionRoutes.routes),
    ...(yield* WorkRoutes.make),
    ...(yield* OpsRoutes.make)
  ]
  const api = yield* ApiRoutes.routes
  const guarded = [
    ...hot,
    ...api.map((route) =>
      SessionRoutes.isSessionsApi(route.path) ? SessionRoutes.requireBeta(route) : route
    )
  ].map((route): HotRoute => ({ ...route, line: lineOf(route) }))
  return [...guarded, ...(yield* Page.make)]
})

/** Listens once everything is in place, and stops before anything is taken away. */
const serving = Layer.scoped(
  Hub,
  Effect.gen(function* () {
    const { organizationId, created } = yield* (yield* Bootstrap.Bootstrap).ensure
    const address = yield* Server.serve(yield* routes)
    yield* (yield* OnlyHub)
      .note({ url: address.url })
      .pipe(Effect.catchAll((error) => Effect.logWarning("The lock's record was not written", error)))
    return Hub.of({ ...address, organizationId, firstToken: created })
  })
)

export type HubError =
  | DatabaseInUse
  | Database.DatabaseForeign
  | Database.DatabaseTooNew
  | Database.DatabaseUnusable
  | PlatformError
  | Server.ListenFailed
  | SqlError
  | StoreUnavailable

const gateway = (options: GatewayOptions = {}) =>
  GatewayLayer.layer({ version: "0.1.0", ...options }).pipe(
    Layer.provide(
      options.configFile === undefined
        ? GatewayConfig.layerOf(options.config ?? GatewayConfig.defaults)
        : GatewayConfig.layerFile(options.configFile, {
            withoutAuthentication: options.withoutAuthentication === true
          })
    )
  )

/** A hub that serves until its scope closes. */
export const layer = (
  options: Options
): Layer.Layer<Hub | Gateway | Server.NodeServer | Auth.Auth | Connected.Connected | Services, HubError> =>
  serving.pipe(
    Layer.provideMerge(gateway(options.gateway)),
    Layer.provideMerge(Layer.mergeAll(Attempts.layer, Auth.layer, Connected.layer, Server.layer)),
    Layer.provideMerge(layerStore(options)),
    Layer.provide(onlyHub(options.filename)),
    Layer.provide(Config.layer(options)),
    Layer.provide(options.page === undefined ? Page.layerNone : Page.layer(options.page)),
    Layer.provide(Layer.succeed(PublicUrl, options.publicUrl)),
    Layer.provide(Layer.succeed(AllowedHosts, options.allowedHosts ?? [])),
    Layer.provide(Layer.succeed(TrustedProxies, options.trustedProxies ?? Networks.none)),
    Layer.provide(NodeContext.layer)
  )
