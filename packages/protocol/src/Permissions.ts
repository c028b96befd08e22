/**
 * Who may call what: the one table of every endpoint and every gateway method. Every door asks it, `docs/permissions.md` and
 * the test matrix are made from it, and a call without a line here is refused when the hub starts.
 */
import * as HttpApi from "@effect/platform/HttpApi"
import type * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import type * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import { CausewayApi } from "./http/Api.ts"
import type { Permission } from "./Permission.ts"

/** Bearers beside access tokens: what an environment and a session's worker were given. */
export type Grant = "environment secret" | "ingress token"

/** What a call needs. */
export interface Line {
  /** One of these, of an access token; none: no access token opens it. */
  readonly needs: ReadonlyArray<Permission>
  /** Other bearers that open it, each for its own environment or session. */
  readonly also: ReadonlyArray<Grant>
  /** Needs no bearer at all. */
  readonly open: boolean
}

const access = (...needs: ReadonlyArray<Permission>): Line => ({ needs, also: [], open: false })
const worker = (...needs: ReadonlyArray<Permission>): Line => ({
  ...access(...needs),
  also: ["ingress token"]
})
const secret = (...needs: ReadonlyArray<Permission>): Line => ({
  ...access(...needs),
  also: ["environment secret"]
})
const workItem = (...needs: ReadonlyArray<Permission>): Line => ({
  ...access(...needs),
  also: ["environment secret", "ingress token"]
})
const open: Line = { needs: [], also: [], open: true }

type Groups = typeof CausewayApi extends HttpApi.HttpApi<infer _Id, infer G, infer _E, infer _R> ? G : never
type Table = {
  readonly [N in HttpApiGroup.HttpApiGroup.Name<Groups>]: {
    readonly [E in HttpApiEndpoint.HttpApiEndpoint.Name<
      HttpApiGroup.HttpApiGroup.EndpointsWithName<Groups, N>
    >]: Line
  }
}

/** Endpoints by group and name, as `CausewayApi` has them. */
export const endpoints: Table = {
  sessions: {
    create: access("sessions.write", "environments.serve"),
    // An answer to what an agent asks needs `approvals.decide`, everything else `sessions.write`: see `neededBy`.
    sendEvents: access("sessions.write", "approvals.decide"),
    list: access("sessions.read"),
    get: access("sessions.read", "environments.serve"),
    update: access("sessions.write"),
    archive: access("sessions.write", "environments.serve"),
    continue: access("sessions.write"),
    snapshots: access("sessions.read"),
    stopAll: access("sessions.write"),
    directories: access("sessions.read")
  },
  codeSessions: {
    create: access("sessions.write", "environments.serve"),
    teleportEvents: access("sessions.read"),
    credentials: access("environments.serve")
  },
  viewer: {
    sendViewerEvents: access("sessions.write", "approvals.decide"),
    viewerStream: access("sessions.read")
  },
  worker: {
    worker: worker("sessions.read", "environments.serve"),
    updateWorker: worker("environments.serve"),
    registerWorker: worker("environments.serve"),
    refreshToken: worker("environments.serve"),
    appendEvents: worker("environments.serve"),
    workerStream: worker("environments.serve"),
    reportDelivery: worker("environments.serve"),
    workerHeartbeat: worker("environments.serve")
  },
  ingress: {
    append: worker("environments.serve"),
    uploadPart: worker("environments.serve"),
    log: worker("sessions.read", "environments.serve")
  },
  environments: {
    register: access("environments.serve"),
    deregister: access("environments.serve"),
    reconnect: access("environments.serve"),
    create: access("environments.manage"),
    list: access("sessions.read", "environments.serve"),
    get: access("sessions.read", "environments.serve"),
    archive: access("environments.manage"),
    remove: access("environments.manage")
  },
  work: {
    poll: secret(),
    listWork: secret("sessions.read", "environments.serve"),
    stats: secret("sessions.read", "environments.serve"),
    getWork: secret("sessions.read", "environments.serve"),
    updateWork: secret("environments.serve"),
    ack: workItem(),
    heartbeat: workItem(),
    stop: workItem("sessions.write", "environments.serve")
  },
  accessTokens: {
    create: access("tokens.manage"),
    list: access("tokens.manage"),
    revoke: access("tokens.manage")
  },
  operation: { health: open, ready: open, metrics: open, openapi: open, docs: open }
}

/** What a method needs: one of these. None: whoever is connected as operator may call it. */
export type MethodNeeds = ReadonlyArray<Permission>

/** Methods of the gateway, published ones first. */
export const methods = {
  health: [],
  "agents.list": ["sessions.read"],
  "models.list": ["sessions.read"],
  "sessions.list": ["sessions.read"],
  "sessions.describe": ["sessions.read"],
  "sessions.resolve": ["sessions.read"],
  "sessions.get": ["sessions.read"],
  "sessions.preview": ["sessions.read"],
  "chat.history": ["sessions.read"],
  "sessions.subscribe": ["sessions.read"],
  "sessions.unsubscribe": ["sessions.read"],
  "sessions.messages.subscribe": ["sessions.read"],
  "sessions.messages.unsubscribe": ["sessions.read"],
  "sessions.compaction.list": ["sessions.read"],
  "sessions.compaction.get": ["sessions.read"],
  "sessions.create": ["sessions.write"],
  "sessions.send": ["sessions.write"],
  "sessions.steer": ["sessions.write"],
  "sessions.abort": ["sessions.write"],
  "chat.send": ["sessions.write"],
  "chat.abort": ["sessions.write"],
  "sessions.compaction.branch": ["sessions.write"],
  "chat.inject": ["sessions.manage"],
  "sessions.patch": ["sessions.manage"],
  "sessions.pluginPatch": ["sessions.manage"],
  "sessions.reset": ["sessions.manage"],
  "sessions.delete": ["sessions.manage"],
  "sessions.cleanup": ["sessions.manage"],
  "sessions.compact": ["sessions.manage"],
  "sessions.compaction.restore": ["sessions.manage"],
  "device.pair.list": ["devices.manage"],
  "device.pair.approve": ["devices.manage"],
  "device.pair.reject": ["devices.manage"],
  "device.pair.remove": ["devices.manage"],
  "device.token.rotate": ["devices.manage"],

  "causeway.sessions.page": ["sessions.read"],
  "causeway.sessions.show": ["sessions.read"],
  "causeway.sessions.find": ["sessions.read"],
  "causeway.sessions.waiting": ["sessions.read"],
  "causeway.sessions.leaves": ["sessions.read"],
  "causeway.sessions.snapshots": ["sessions.read"],
  "causeway.sessions.watch": ["sessions.read"],
  "causeway.sessions.unwatch": ["sessions.read"],
  "causeway.sessions.subscribe": ["sessions.read"],
  "causeway.sessions.unsubscribe": ["sessions.read"],
  "causeway.events.replay": ["sessions.read"],
  "causeway.deliveries.list": ["sessions.read"],
  "causeway.approvals.list": ["sessions.read"],
  "causeway.environments.list": ["sessions.read"],
  "causeway.environments.files": ["sessions.read"],
  "causeway.directories.recent": ["sessions.read"],
  "causeway.search": ["sessions.read"],
  "causeway.export": ["sessions.read"],
  "causeway.totals": ["sessions.read"],
  "causeway.metrics": ["sessions.read"],
  "causeway.push.key": ["sessions.read"],
  "causeway.push.subscribe": ["sessions.read"],
  "causeway.push.unsubscribe": ["sessions.read"],
  "causeway.push.status": ["sessions.read"],
  "causeway.push.test": ["sessions.read"],
  "causeway.sessions.begin": ["sessions.write"],
  "causeway.sessions.rename": ["sessions.write"],
  "causeway.sessions.archive": ["sessions.write"],
  "causeway.sessions.settings": ["sessions.write"],
  "causeway.sessions.continue": ["sessions.write"],
  "causeway.sessions.stopAll": ["sessions.write"],
  "causeway.messages.withdraw": ["sessions.write"],
  // What is an answer to an agent needs `approvals.decide`: see `neededBy`.
  "causeway.sessions.append": ["sessions.write", "approvals.decide"],
  "causeway.approvals.answer": ["approvals.decide"],
  "causeway.device.code.create": ["devices.manage"],
  "causeway.tokens.list": ["tokens.manage"],
  "causeway.audit.list": ["audit.read"]
} as const satisfies { readonly [method: string]: MethodNeeds }

export type MethodName = keyof typeof methods

/** An event of a client and what it needs where it is appended: who answers an agent decides what it may. */
export const neededBy = (payload: { readonly type: string }): Permission =>
  payload.type === "control_response" ? "approvals.decide" : "sessions.write"

/** An endpoint with its line. */
export interface EndpointLine {
  readonly group: string
  readonly name: string
  readonly method: string
  /** As it is routed: `:name` takes one segment. */
  readonly path: string
  readonly line: Line
}

/** Endpoints of the API with their lines, and the names of those that have none. */
export const linesOf = (
  table: { readonly [group: string]: { readonly [endpoint: string]: Line } } = endpoints
): { readonly lines: ReadonlyArray<EndpointLine>; readonly missing: ReadonlyArray<string> } => {
  const lines: Array<EndpointLine> = []
  const missing: Array<string> = []
  HttpApi.reflect(CausewayApi, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint: { method, name, path }, group: { identifier: group } }) => {
      const line = table[group]?.[name]
      if (line === undefined) missing.push(`${method} ${path}`)
      else lines.push({ group, name, method, path, line })
    }
  })
  return { lines, missing }
}
