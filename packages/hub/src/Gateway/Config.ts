/**
 * What the gateway is configured with: agents, models, keys, retention, plugin extensions, origins.
 *
 * A JSON file, checked by schema and read again when it changes; a file that does not fit leaves the last good one in
 * force and is logged. Without a file the defaults hold. Source: spec 2 (preface, §3, §5).
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import type * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as Keys from "./Keys.ts"

const opt = Schema.optional

/** `30d`, `12h`, `90m`, `45s`, `500ms`; a bare number is days. */
const units: { readonly [unit: string]: number } = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const parseDuration = (text: string): number | undefined => {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?$/.exec(text.trim().toLowerCase())
  return match === null ? undefined : Math.round(Number(match[1]) * (units[match[2] ?? "d"] ?? 0))
}
/** `10gb`, `512mb`, `1024`. */
const sizes: { readonly [unit: string]: number } = {
  b: 1,
  kb: 1024,
  mb: 1024 ** 2,
  gb: 1024 ** 3,
  tb: 1024 ** 4
}
const parseSize = (text: string): number | undefined => {
  const match = /^(\d+(?:\.\d+)?)\s*(b|kb|mb|gb|tb)?$/.exec(text.trim().toLowerCase())
  return match === null ? undefined : Math.round(Number(match[1]) * (sizes[match[2] ?? "b"] ?? 0))
}

const measure = (name: string, parse: (text: string) => number | undefined) =>
  Schema.transformOrFail(
    Schema.Union(Schema.String, Schema.Number.pipe(Schema.nonNegative())),
    Schema.Number,
    {
      strict: true,
      decode: (given, _, ast) => {
        const value = parse(String(given))
        return value === undefined
          ? ParseResult.fail(new ParseResult.Type(ast, given, `not a ${name}: ${given}`))
          : ParseResult.succeed(value)
      },
      encode: (value) => ParseResult.succeed(value)
    }
  )
const Duration = measure("duration", parseDuration)
const Size = measure("size", parseSize)

const Agent = Schema.Struct({
  id: Schema.String,
  default: opt(Schema.Boolean),
  name: opt(Schema.String),
  /** `claude`, `scripted`, `acp:<command>`; default: what the bridge takes. */
  driver: opt(Schema.String),
  /** `provider/model`, or a model of the default provider. */
  model: opt(Schema.String),
  /** Name or id of the environment where its sessions run. */
  environment: opt(Schema.String),
  /** It was never honoured. */
  workspace: opt(
    Schema.Never.annotations({
      message: () => "not supported: a session works in the directory of its environment; leave it out"
    })
  ),
  permissionMode: opt(Schema.String),
  thinkingDefault: opt(Schema.String)
})

const Model = Schema.Struct({
  provider: Schema.String,
  id: Schema.String,
  name: opt(Schema.String),
  contextWindow: opt(Schema.Int.pipe(Schema.positive())),
  /** What it can be asked for beside off, minimal, low, medium and high. */
  extraThinkingLevels: opt(Schema.Array(Schema.Literal("xhigh", "adaptive", "max")))
})
export type Model = typeof Model.Type

const File = Schema.Struct({
  agents: opt(Schema.Array(Agent)),
  models: opt(Schema.Array(Model)),
  /** `provider/model`. */
  defaultModel: opt(Schema.String),
  session: opt(
    Schema.Struct({
      mainKey: opt(Schema.String),
      scope: opt(Schema.Literal("per-sender", "global")),
      sendPolicy: opt(
        Schema.Struct({
          default: opt(Schema.Literal("allow", "deny")),
          rules: opt(
            Schema.Array(
              Schema.Struct({ action: Schema.Literal("allow", "deny"), keyPrefix: opt(Schema.String) })
            )
          )
        })
      ),
      maintenance: opt(
        Schema.Struct({
          mode: opt(Schema.Literal("warn", "enforce")),
          pruneAfter: opt(Duration),
          maxEntries: opt(Schema.Int.pipe(Schema.positive())),
          resetArchiveRetention: opt(Schema.Union(Schema.Literal(false), Duration)),
          maxDiskBytes: opt(Size),
          highWaterBytes: opt(Size)
        })
      )
    })
  ),
  gateway: opt(
    Schema.Struct({
      auth: opt(
        Schema.Struct({
          mode: opt(Schema.Literal("token", "password", "none")),
          password: opt(Schema.Redacted(Schema.String))
        })
      ),
      allowedOrigins: opt(Schema.Array(Schema.String)),
      /** Lets a page without a device in: for plain http from another machine. Default false. */
      allowInsecurePage: opt(Schema.Boolean)
    })
  ),
  plugins: opt(
    Schema.Struct({
      sessionExtensions: opt(
        Schema.Array(Schema.Struct({ pluginId: Schema.String, namespace: Schema.String }))
      )
    })
  )
})

export interface AgentConfig {
  readonly id: string
  readonly name: string | undefined
  readonly driver: string | undefined
  readonly model: string | undefined
  readonly environment: string | undefined
  readonly permissionMode: string | undefined
  readonly thinkingDefault: string | undefined
}

export interface Maintenance {
  readonly mode: "warn" | "enforce"
  /** Milliseconds. Default 30 days. */
  readonly pruneAfter: number
  /** Default 500. */
  readonly maxEntries: number
  /** Milliseconds; undefined: archives stay. Default: as `pruneAfter`. */
  readonly resetArchiveRetention: number | undefined
  readonly maxDiskBytes: number | undefined
  /** Default: 80 % of `maxDiskBytes`. */
  readonly highWaterBytes: number | undefined
  /** Whether it runs by itself: only where retention is configured. */
  readonly automatic: boolean
}

/** The configuration in force. */
export interface GatewayConfig extends Keys.KeyRules {
  readonly agents: ReadonlyArray<AgentConfig>
  readonly models: ReadonlyArray<Model>
  readonly defaultModel: string | undefined
  readonly sendPolicy: {
    readonly default: "allow" | "deny"
    readonly rules: ReadonlyArray<{
      readonly action: "allow" | "deny"
      readonly keyPrefix?: string | undefined
    }>
  }
  readonly maintenance: Maintenance
  readonly auth: {
    readonly mode: "token" | "password" | "none"
    readonly password: Redacted.Redacted | undefined
  }
  readonly allowedOrigins: ReadonlyArray<string>
  readonly allowInsecurePage: boolean
  readonly extensions: ReadonlyArray<{ readonly pluginId: string; readonly namespace: string }>
}

const resolve = (file: typeof File.Type): GatewayConfig => {
  const agents = (file.agents ?? []).map((agent) => ({
    id: Keys.normalizeAgentId(agent.id),
    name: agent.name,
    driver: agent.driver,
    model: agent.model,
    environment: agent.environment,
    permissionMode: agent.permissionMode,
    thinkingDefault: agent.thinkingDefault
  }))
  const marked = (file.agents ?? []).findIndex((agent) => agent.default === true)
  const listed = agents[marked === -1 ? 0 : marked]
  const main: AgentConfig = {
    id: Keys.DEFAULT_AGENT_ID,
    name: undefined,
    driver: undefined,
    model: undefined,
    environment: undefined,
    permissionMode: undefined,
    thinkingDefault: undefined
  }
  const all = agents.length === 0 ? [main] : agents
  const maintenance = file.session?.maintenance
  const pruneAfter = maintenance?.pruneAfter ?? 30 * 86_400_000
  const retention = maintenance?.resetArchiveRetention
  const maxDiskBytes = maintenance?.maxDiskBytes
  return {
    agents: all,
    agentIds: all.map((agent) => agent.id),
    defaultAgentId: (listed ?? main).id,
    mainKey: file.session?.mainKey?.trim().toLowerCase() || "main",
    scope: file.session?.scope ?? "per-sender",
    models: file.models ?? [],
    defaultModel: file.defaultModel,
    sendPolicy: {
      default: file.session?.sendPolicy?.default ?? "allow",
      rules: file.session?.sendPolicy?.rules ?? []
    },
    maintenance: {
      mode: maintenance?.mode ?? "enforce",
      pruneAfter,
      maxEntries: maintenance?.maxEntries ?? 500,
      resetArchiveRetention: retention === false ? undefined : (retention ?? pruneAfter),
      maxDiskBytes,
      highWaterBytes:
        maintenance?.highWaterBytes ??
        (maxDiskBytes === undefined ? undefined : Math.floor(maxDiskBytes * 0.8)),
      automatic: maintenance !== undefined
    },
    auth: {
      mode: file.gateway?.auth?.mode ?? (file.gateway?.auth?.password === undefined ? "token" : "password"),
      password: file.gateway?.auth?.password
    },
    allowedOrigins: file.gateway?.allowedOrigins ?? [],
    allowInsecurePage: file.gateway?.allowInsecurePage ?? false,
    extensions: file.plugins?.sessionExtensions ?? []
  }
}

export const defaults: GatewayConfig = resolve({})

const decodeFile = Schema.decodeUnknownEither(File, { onExcessProperty: "error" })

/** The engine's own words about broken JSON quote it. */
const readJson = (text: string): Either.Either<unknown, string> =>
  Either.try({ try: (): unknown => JSON.parse(text), catch: () => "not JSON" })

/** Reads a configuration from its JSON text. Left: what does not fit, in words for people; secrets are never quoted. */
export const parse = (text: string): Either.Either<GatewayConfig, string> =>
  Either.flatMap(readJson(text), (json) =>
    Either.mapBoth(decodeFile(json), {
      onLeft: (error) =>
        ParseResult.ArrayFormatter.formatErrorSync(error)
          .map((issue) =>
            // Nothing under `gateway.auth` is quoted: it may be the password.
            issue.path[0] === "gateway" && (issue.path.length === 1 || issue.path[1] === "auth")
              ? "at gateway.auth: does not fit"
              : `${issue.path.length === 0 ? "" : `at ${issue.path.map(String).join(".")}: `}${issue.message}`
          )
          .join("; "),
      onRight: resolve
    })
  )

export class GatewayConfiguration extends Context.Tag("@causeway/hub/GatewayConfiguration")<
  GatewayConfiguration,
  {
    /** The one in force, see {@link currentConfig}. */
    readonly current: Effect.Effect<GatewayConfig>
    readonly ref: SubscriptionRef.SubscriptionRef<GatewayConfig>
    /** Where it is read from, if from anywhere. */
    readonly path: string | undefined
  }
>() {}

/** The configuration in force at this moment. */
export const currentConfig = Effect.flatMap(GatewayConfiguration, ({ current }) => current)

/** Sign-in without any credential was not allowed at the start. */
const OPEN =
  'at gateway.auth.mode: "none" lets everybody in; start the hub with --dangerously-without-authentication to take it'

/** A configuration that is given. */
export const layerOf = (config: GatewayConfig): Layer.Layer<GatewayConfiguration> =>
  Layer.effect(
    GatewayConfiguration,
    Effect.map(SubscriptionRef.make(config), (ref) =>
      GatewayConfiguration.of({ current: SubscriptionRef.get(ref), ref, path: undefined })
    )
  )

/** How often the file is looked at: every 2 s. */
export const reloadSchedule = Schedule.spaced("2 seconds")

/** The configuration of a JSON file, read again when it changes. A file that is not there stands for the defaults. */
export const layerFile = (
  path: string,
  options: { readonly withoutAuthentication: boolean } = { withoutAuthentication: false }
): Layer.Layer<GatewayConfiguration, never, FileSystem.FileSystem> =>
  Layer.scoped(
    GatewayConfiguration,
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const ref = yield* SubscriptionRef.make(defaults)
      let seen: string | undefined

      const read = Effect.gen(function* () {
        const text = yield* Effect.option(fs.readFileString(path))
        const now = Option.getOrUndefined(text)
        if (now === seen) return
        seen = now
        if (now === undefined) return yield* SubscriptionRef.set(ref, defaults)
        const parsed = Either.filterOrLeft(
          parse(now),
          ({ auth }) => auth.mode !== "none" || options.withoutAuthentication,
          () => OPEN
        )
        if (Either.isLeft(parsed)) {
          yield* Effect.logError(
            "the gateway's configuration does not fit; the last good one stays in force"
          ).pipe(Effect.annotateLogs({ path, issue: parsed.left }))
          return
        }
        yield* SubscriptionRef.set(ref, parsed.right)
        yield* Effect.logInfo("gateway configuration read").pipe(
          Effect.annotateLogs({ path, agents: parsed.right.agents.length })
        )
      })
      yield* read
      yield* Effect.forkScoped(Effect.schedule(read, reloadSchedule))
      return GatewayConfiguration.of({ current: SubscriptionRef.get(ref), ref, path })
    })
  )
