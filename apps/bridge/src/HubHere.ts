/** The hub of a state directory: the one that runs there, or one that this process serves. There is never a second. */
import { resolve } from "node:path"
import { fileURLToPath } from "node:url"
import * as Hub from "@causeway/hub/Hub"
import * as Networks from "@causeway/hub/Networks"
import * as Contact from "@causeway/hub/Push/Contact"
import * as Bootstrap from "@causeway/store/Bootstrap"
import * as DeviceCodes from "@causeway/store/DeviceCodes"
import * as FileLock from "@causeway/store/FileLock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Struct from "effect/Struct"
import * as Devices from "./Devices.ts"
import * as Exposure from "./Exposure.ts"
import { asFailure, Failure } from "./Failure.ts"
import * as Flags from "./Flags.ts"
import * as Network from "./Network/Network.ts"
import { Output } from "./Output.ts"
import * as PageAddress from "./PageAddress.ts"
import * as Sqlite from "./Sqlite.ts"
import * as StateDirectory from "./StateDirectory.ts"
import { version } from "./version.ts"

// --- A hub of this process ---------------------------------------------------

const page = fileURLToPath(new URL("../../web/dist/page", import.meta.url))

/** Where a hub listens unless flags say otherwise. */
const DEFAULTS = { host: "127.0.0.1", port: 4750 } as const

const hubFailure = (error: Hub.HubError): Failure => {
  switch (error._tag) {
    case "ListenFailed":
      return Failure.failed(
        error.message,
        error.code === "EADDRINUSE"
          ? `if that is a Causeway of another state directory, \`connect --hub http://${error.host}:${error.port} --token-file FILE\` attaches this directory to it; else choose another port with --port, or any free one with --port 0`
          : `choose another address with --host (it was ${error.host})`
      )
    case "DatabaseInUse":
      return Failure.failed(
        error.message,
        "stop it first, or attach to it with `connect --hub`; a hub of its own needs another --database-url"
      )
    default:
      return asFailure(error)
  }
}

export interface RunningHub {
  readonly url: string
  /** What this machine's own bridge and commands show the hub. */
  readonly token: Redacted.Redacted
  /** Whether that token was made just now: the only time that it is printed. */
  readonly made: boolean
  /** Where other machines reach it. */
  readonly others: Option.Option<string>
  /** What pushes need and do not have. */
  readonly pushNotice: Option.Option<string>
  /** Makes a one-time code that lets one device in. */
  readonly code: (label: string) => Effect.Effect<Devices.Code, Failure, Output>
  /** To be said when the end begins: whoever starts from now on waits for it, and does not attach to what goes away. */
  readonly ending: Effect.Effect<void>
}

/** Serves a hub until the scope closes; its token and address are in the state directory. */
const serve = (flags: Flags.Serving, stateDir: string, directory?: string) =>
  Effect.gen(function* () {
    const tls = yield* Exposure.check(flags)
    yield* Sqlite.loaded
    const held = yield* StateDirectory.becomeHub(stateDir, { directory })
    const filename = Option.match(flags.databaseUrl, {
      onNone: () => StateDirectory.databaseFile(stateDir),
      onSome: (file) => resolve(file)
    })
    const publicUrl = Option.getOrUndefined(flags.publicUrl)
    const contact = Option.getOrUndefined(flags.pushContact)
    yield* StateDirectory.reserve(filename)
    const context = yield* Layer.build(
      Hub.layer({
        filename,
        host: Option.getOrElse(flags.host, () => DEFAULTS.host),
        port: Option.getOrElse(flags.port, () => DEFAULTS.port),
        ...(publicUrl === undefined ? {} : { publicUrl }),
        ...(Option.isNone(tls) ? {} : { tls: tls.value }),
        allowedHosts: Option.getOrElse(flags.allowedHost, () => []),
        trustedProxies: Option.getOrElse(flags.trustedProxy, () => Networks.none),
        page,
        gateway: {
          version,
          stateDir,
          configFile: StateDirectory.gatewayFile(stateDir),
          withoutAuthentication: flags.withoutAuthentication,
          push: { contact, agentFor: yield* Network.pushAgent }
        }
      })
    ).pipe(Effect.mapError(hubFailure))
    const hub = Context.get(context, Hub.Hub)
    const bootstrap = Context.get(context, Bootstrap.Bootstrap)
    const known = Option.isSome(hub.firstToken) ? Option.none() : yield* StateDirectory.readToken(stateDir)
    const token = yield* Option.orElse(known, () => hub.firstToken).pipe(
      Effect.catchTag("NoSuchElementException", () => bootstrap.issue("replaces a lost token file")),
      Effect.mapError(asFailure)
    )
    if (Option.isNone(known)) yield* StateDirectory.writeToken(stateDir, token)
    const others = PageAddress.forOthers({
      host: hub.host,
      port: hub.port,
      scheme: Option.isNone(tls) ? "http" : "https",
      publicUrl
    })
    // Last: whoever reads an address here finds the token as well.
    yield* held.note({ url: hub.url, others: Option.getOrUndefined(others) }).pipe(Effect.mapError(asFailure))
    const codes = yield* DeviceCodes.make.pipe(Effect.provide(context))
    const running: RunningHub = {
      url: hub.url,
      token,
      made: Option.isNone(known),
      others,
      // Some pushes will not come.
      pushNotice: Option.match(Contact.of(contact, publicUrl), {
        onNone: () => Option.some(Contact.MISSING),
        onSome: () => Option.none()
      }),
      ending: Effect.ignore(held.note({ url: undefined, others: undefined })),
      code: (label) =>
        codes.create({ organizationId: hub.organizationId, label }).pipe(Effect.mapError(asFailure))
    }
    return running
  })

// --- A hub that runs already -------------------------------------------------

type Listening = FileLock.Holder & { readonly url: string }

/** Somebody is the hub here and does not answer: it starts, or it ends. */
class Between extends Data.TaggedError("Between")<{ readonly holder: Option.Option<FileLock.Holder> }> {}

/** How long a start or an end of another may take: 30 s, looked at every 100 ms. */
const patience = Schedule.intersect(Schedule.spaced("100 millis"), Schedule.recurs(300))

/** The hub that listens here; none where nobody is the hub. Waits for one that starts or ends. */
const listening = (stateDir: string): Effect.Effect<Option.Option<Listening>, Between> =>
  Effect.gen(function* () {
    const holder = yield* StateDirectory.runningHub(stateDir)
    if (Option.isNone(holder)) return Option.none()
    const { url } = holder.value
    return url === undefined ? yield* new Between({ holder }) : Option.some({ ...holder.value, url })
  }).pipe(Effect.retry(patience))

/** The hub of this state directory, run by another process. */
const runningHub = (holder: Listening, stateDir: string): Effect.Effect<RunningHub, Failure> =>
  Effect.gen(function* () {
    const { url } = holder
    const token = yield* StateDirectory.readToken(stateDir)
    if (Option.isNone(token)) {
      return yield* Failure.refused(
        `a hub is already running here (${FileLock.describe(holder)}), and ${StateDirectory.tokenFile(stateDir)} is missing`,
        "`token create` makes a token; give it to `connect` with --token-file"
      )
    }
    const flags = { stateDir: Option.some(stateDir), hub: Option.some(url), token, tokenFile: Option.none() }
    return {
      url,
      token: token.value,
      made: false,
      others: Option.fromNullable(holder.others),
      // That hub's own start has said it.
      pushNotice: Option.none(),
      ending: Effect.void,
      code: (label) =>
        Devices.withDevices(flags, ({ devices }) => devices.code({ ttl: DeviceCodes.DEFAULT_TTL, label }))
    }
  })

const runsAlready = (stateDir: string, holder: Option.Option<FileLock.Holder>) =>
  Failure.failed(
    `a hub is already running for ${stateDir}: ${Option.match(holder, {
      onNone: () => "an unknown process",
      onSome: FileLock.describe
    })}`,
    "use that one (`up` attaches a directory to it), stop it first, or use another --state-dir"
  )

const isGiven = (value: unknown): boolean =>
  value === true || (Option.isOption(value) && Option.isSome(value))

/** The flags of a hub's start that were given, by name. */
const named = (flags: Flags.Serving): ReadonlyArray<string> =>
  Struct.keys(Flags.serving).flatMap((key) => (isGiven(flags[key]) ? [`--${Flags.serving[key].name}`] : []))

/** Several may find that nobody is the hub, and one of them becomes it: the others look again. */
const orRunsAlready =
  (stateDir: string) =>
  <A, R>(effect: Effect.Effect<A, Failure | FileLock.LockHeld | Between, R>) =>
    effect.pipe(
      Effect.retry({ while: ({ _tag }) => _tag === "LockHeld", times: 3 }),
      Effect.mapError((error) => (error._tag === "Failure" ? error : runsAlready(stateDir, error.holder)))
    )

/** A hub that this process serves until the scope closes; refused where another one runs. */
export const serveAlone = (flags: Flags.Serving, stateDir: string) =>
  Effect.gen(function* () {
    const other = yield* listening(stateDir)
    if (Option.isSome(other)) return yield* runsAlready(stateDir, other)
    return yield* serve(flags, stateDir)
  }).pipe(orRunsAlready(stateDir))

/** The hub of this state directory: the one that runs, or else one that is served from here until the scope closes. */
export const findOrServe = (flags: Flags.Serving, stateDir: string, directory: string) =>
  Effect.gen(function* () {
    const holder = yield* listening(stateDir)
    if (Option.isNone(holder)) return { hub: yield* serve(flags, stateDir, directory), own: true }
    const hub = yield* runningHub(holder.value, stateDir)
    const output = yield* Output
    yield* output.progress(
      `a hub is already running here (${FileLock.describe(holder.value)}): attaching ${directory} to it`
    )
    const unused = named(flags)
    if (unused.length > 0) {
      yield* output.progress(
        `${unused.join(", ")} ignored: the running hub keeps the settings it was started with`
      )
    }
    return { hub, own: false }
  }).pipe(orRunsAlready(stateDir))
