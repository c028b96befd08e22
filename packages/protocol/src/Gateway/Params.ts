/**
 * Parameters of the gateway's methods. Members that a schema does not name are refused. Source: spec 2 §2 and §6.
 */
import * as Schema from "effect/Schema"
import { constants, NonEmpty } from "./Validation.ts"

const opt = Schema.optional
const atLeast = (min: number) => Schema.Int.pipe(Schema.greaterThanOrEqualTo(min))
const bool = opt(Schema.Boolean)
const clearable = opt(Schema.NullOr(NonEmpty))
const Label = NonEmpty.pipe(Schema.maxLength(512))

/** No members. */
export const Empty = Schema.Struct({}).annotations({
  jsonSchema: { type: "object", properties: {}, additionalProperties: false }
})
/** Anything: for the methods whose parameters are read tolerantly. */
export const Anything = Schema.Unknown

export const SessionsList = Schema.Struct({
  limit: opt(atLeast(1)),
  activeMinutes: opt(atLeast(1)),
  includeGlobal: bool,
  includeUnknown: bool,
  includeDerivedTitles: bool,
  includeLastMessage: bool,
  label: opt(Label),
  spawnedBy: opt(NonEmpty),
  agentId: opt(NonEmpty),
  search: opt(Schema.String)
})
export type SessionsList = typeof SessionsList.Type

export const SessionsKey = Schema.Struct({ key: NonEmpty })

export const SessionsPreview = Schema.Struct({
  keys: Schema.Array(NonEmpty).pipe(Schema.minItems(1)),
  limit: opt(atLeast(1)),
  maxChars: opt(atLeast(20))
})

export const SessionsDescribe = Schema.Struct({
  key: NonEmpty,
  includeDerivedTitles: bool,
  includeLastMessage: bool
})

export const SessionsResolve = Schema.Struct({
  key: opt(NonEmpty),
  sessionId: opt(NonEmpty),
  label: opt(Label),
  agentId: opt(NonEmpty),
  spawnedBy: opt(NonEmpty),
  includeGlobal: bool,
  includeUnknown: bool
})
export type SessionsResolve = typeof SessionsResolve.Type

export const SessionsCreate = Schema.Struct({
  key: opt(NonEmpty),
  agentId: opt(NonEmpty),
  label: opt(Label),
  /** Blank: none. */
  model: opt(NonEmpty),
  parentSessionKey: opt(NonEmpty),
  task: opt(Schema.String),
  message: opt(Schema.String)
})

export const SessionsSend = Schema.Struct({
  key: NonEmpty,
  message: Schema.String,
  thinking: opt(Schema.String),
  attachments: opt(Schema.Array(Schema.Unknown)),
  timeoutMs: opt(atLeast(0)),
  idempotencyKey: opt(NonEmpty)
})

export const SessionsAbort = Schema.Struct({ key: opt(NonEmpty), runId: opt(NonEmpty) })

export const SessionsPatch = Schema.Struct({
  key: NonEmpty,
  label: opt(Schema.NullOr(Label)),
  thinkingLevel: clearable,
  fastMode: opt(Schema.NullOr(Schema.Boolean)),
  verboseLevel: clearable,
  traceLevel: clearable,
  reasoningLevel: clearable,
  responseUsage: opt(Schema.NullOr(constants("off", "tokens", "full", "on"))),
  elevatedLevel: clearable,
  execHost: clearable,
  execSecurity: clearable,
  execAsk: clearable,
  execNode: clearable,
  model: clearable,
  spawnedBy: clearable,
  spawnedWorkspaceDir: clearable,
  spawnDepth: opt(Schema.NullOr(atLeast(0))),
  subagentRole: opt(Schema.NullOr(constants("orchestrator", "leaf"))),
  subagentControlScope: opt(Schema.NullOr(constants("children", "none"))),
  sendPolicy: opt(Schema.NullOr(constants("allow", "deny"))),
  groupActivation: opt(Schema.NullOr(constants("mention", "always")))
})
export type SessionsPatch = typeof SessionsPatch.Type

export const SessionsPluginPatch = Schema.Struct({
  key: NonEmpty,
  pluginId: NonEmpty,
  namespace: NonEmpty,
  value: opt(Schema.Unknown),
  unset: bool
})

export const SessionsReset = Schema.Struct({ key: NonEmpty, reason: opt(constants("new", "reset")) })

export const SessionsDelete = Schema.Struct({
  key: NonEmpty,
  deleteTranscript: bool,
  emitLifecycleHooks: bool
})

export const SessionsCompact = Schema.Struct({ key: NonEmpty, maxLines: opt(atLeast(1)) })

export const CompactionKey = Schema.Struct({ key: NonEmpty, checkpointId: NonEmpty })

export const SessionsCleanup = Schema.Struct({
  agent: opt(NonEmpty),
  allAgents: bool,
  enforce: bool,
  activeKey: opt(NonEmpty),
  fixMissing: bool
})
export type SessionsCleanup = typeof SessionsCleanup.Type

export const ChatSend = Schema.Struct({
  sessionKey: NonEmpty.pipe(Schema.maxLength(512)),
  sessionId: opt(NonEmpty),
  message: Schema.String,
  thinking: opt(Schema.String),
  deliver: bool,
  originatingChannel: opt(Schema.String),
  originatingTo: opt(Schema.String),
  originatingAccountId: opt(Schema.String),
  originatingThreadId: opt(Schema.String),
  attachments: opt(Schema.Array(Schema.Unknown)),
  timeoutMs: opt(atLeast(0)),
  systemInputProvenance: opt(Schema.Unknown),
  systemProvenanceReceipt: opt(Schema.String),
  idempotencyKey: NonEmpty
})
export type ChatSend = typeof ChatSend.Type

export const ChatAbort = Schema.Struct({ sessionKey: NonEmpty, runId: opt(NonEmpty) })

export const ChatHistory = Schema.Struct({
  sessionKey: NonEmpty,
  limit: opt(Schema.Int.pipe(Schema.between(1, 1000))),
  maxChars: opt(Schema.Int.pipe(Schema.between(1, 500_000)))
})

export const ChatInject = Schema.Struct({
  sessionKey: NonEmpty,
  message: NonEmpty,
  label: opt(Schema.String.pipe(Schema.maxLength(100)))
})

export const DeviceRequest = Schema.Struct({ requestId: NonEmpty })
/** `role` and `scopes` (ours): what the approver has seen; where they are not what is asked for, nothing is approved. */
export const DeviceApprove = Schema.Struct({
  requestId: NonEmpty,
  role: opt(NonEmpty),
  scopes: opt(Schema.Array(NonEmpty).pipe(Schema.maxItems(64)))
})
export const Device = Schema.Struct({ deviceId: NonEmpty })
export const DeviceRole = Schema.Struct({ deviceId: NonEmpty, role: NonEmpty })

// --- Ours ---

/** Events of a session after `afterSeq` (0 for all), at most `limit` (1 to 1000, default 200). */
export const EventsReplay = Schema.Struct({
  key: NonEmpty,
  afterSeq: Schema.Int.pipe(Schema.greaterThanOrEqualTo(0)),
  /** The session that the position belongs to: after a reset it is another one. */
  sessionId: opt(NonEmpty),
  limit: opt(Schema.Int.pipe(Schema.between(1, 1000)))
})

/** How far messages have come: by run ids (at most 100), else the latest `limit` (default 20). */
export const DeliveriesList = Schema.Struct({
  key: NonEmpty,
  runIds: opt(Schema.Array(NonEmpty).pipe(Schema.minItems(1), Schema.maxItems(100))),
  limit: opt(Schema.Int.pipe(Schema.between(1, 100)))
})

/** A message that waits, by the uuid of its event, in the session of this key or id. */
export const MessagesWithdraw = Schema.Struct({ key: NonEmpty, uuid: NonEmpty })

/** Open approvals: of one session, else of all. */
export const ApprovalsList = Schema.Struct({ key: opt(NonEmpty) })

export const ApprovalsAnswer = Schema.Struct({
  key: NonEmpty,
  toolUseId: opt(NonEmpty),
  requestId: opt(NonEmpty),
  decision: constants("allow", "deny"),
  /** Told to the agent with a refusal. */
  message: opt(Schema.String),
  /** Replaces the tool's input. */
  updatedInput: opt(Schema.Record({ key: Schema.String, value: Schema.Unknown })),
  /** Permission rules to adopt, as the request suggested them. */
  updatedPermissions: opt(Schema.Array(Schema.Unknown))
})

export const EnvironmentsList = Schema.Struct({ includeArchived: bool })

export const EnvironmentFiles = Schema.Struct({ environmentId: NonEmpty })

export const TranscriptSearch = Schema.Struct({
  query: NonEmpty.pipe(Schema.maxLength(512)),
  key: opt(NonEmpty),
  limit: opt(Schema.Int.pipe(Schema.between(1, 100)))
})

/** One page of a transcript in its JSONL form, after line `afterSeq`. */
export const SessionsExport = Schema.Struct({
  key: NonEmpty,
  locator: opt(NonEmpty),
  afterSeq: opt(Schema.Int.pipe(Schema.greaterThanOrEqualTo(0))),
  limit: opt(Schema.Int.pipe(Schema.between(1, 5000)))
})

// Sessions as the Sessions API shows them. `sessionId` takes either spelling, or the bare body.

/** At most 512 characters. */
const Title = Schema.String.pipe(Schema.maxLength(512))

/** One page of all sessions, most recently updated first: at most `limit` (1 to 200, default 50) after `cursor`. */
export const SessionsPage = Schema.Struct({
  limit: opt(Schema.Int.pipe(Schema.between(1, 200))),
  /** `next_cursor` of the page before. */
  cursor: opt(NonEmpty),
  /** Default `all`. */
  archived: opt(constants("all", "true", "false")),
  environmentId: opt(NonEmpty)
})

/** Sessions by a part of their title, or by name; without both, all of them. */
export const SessionsFind = Schema.Struct({
  query: opt(Schema.String.pipe(Schema.maxLength(512))),
  sessionIds: opt(Schema.Array(NonEmpty).pipe(Schema.maxItems(200))),
  archived: opt(Schema.Boolean),
  limit: opt(Schema.Int.pipe(Schema.between(1, 200)))
})

export const SessionsWaiting = Schema.Struct({ limit: opt(Schema.Int.pipe(Schema.between(1, 200))) })

export const SessionById = Schema.Struct({ sessionId: NonEmpty })

/** A session of its own, for one environment to take; waits where that is offline. */
export const SessionsBegin = Schema.Struct({
  environmentId: opt(NonEmpty),
  title: opt(Title),
  permissionMode: opt(NonEmpty),
  /** `session_context` of the Sessions API: model, agent, worktree and whatever else the environment reads. */
  context: opt(Schema.Record({ key: Schema.String, value: Schema.Unknown }))
})

const Json = Schema.Record({ key: Schema.String, value: Schema.Unknown })

/** `settings` as the Sessions API's `agent_settings`. */
export const SessionsSettings = Schema.Struct({ sessionId: NonEmpty, settings: Json })

/** Members that are left out are inherited. `context` and `settings` as the Sessions API has them. */
export const SessionsContinue = Schema.Struct({
  sessionId: NonEmpty,
  message: NonEmpty,
  title: opt(Title),
  environmentId: opt(NonEmpty),
  permissionMode: opt(NonEmpty),
  context: opt(Json),
  settings: opt(Json)
})

export const SessionsStopAll = Schema.Struct({
  environmentId: opt(NonEmpty),
  sessionIds: opt(Schema.Array(NonEmpty)),
  withinMs: opt(Schema.Int)
})

export const DirectoriesRecent = Schema.Struct({ limit: opt(Schema.Int.pipe(Schema.between(1, 100))) })

export const SessionsRename = Schema.Struct({ sessionId: NonEmpty, title: Title })

/** Events for a session's log, each a payload (`{"type":"user","uuid":…}`). One that is in the log already is left. */
export const SessionsAppend = Schema.Struct({
  sessionId: NonEmpty,
  events: Schema.Array(Schema.Unknown)
})

/** Everything of a session after `afterSeq` (0 for all), as it comes; with `untilSeq`, to that event and no further. */
export const SessionsWatch = Schema.Struct({
  sessionId: NonEmpty,
  afterSeq: atLeast(0),
  untilSeq: opt(atLeast(0))
})

/** Lines of the audit log before number `before`, the newest first: at most `limit` (1 to 1000, default 100). */
export const AuditList = Schema.Struct({
  limit: opt(Schema.Int.pipe(Schema.between(1, 1000))),
  before: opt(atLeast(1))
})

export const SessionsUnwatch = Schema.Struct({ watch: NonEmpty })

/** A code that lets one device in; `scopes` of the caller's (default: all of them), good for `ttlSeconds` (default 600). */
export const DeviceCodeCreate = Schema.Struct({
  scopes: opt(Schema.Array(NonEmpty).pipe(Schema.minItems(1), Schema.maxItems(16))),
  ttlSeconds: opt(Schema.Int.pipe(Schema.between(60, 86_400))),
  label: opt(Schema.String.pipe(Schema.maxLength(200)))
})

/** A browser's `PushSubscription`, as its `toJSON` tells it (without `expirationTime`). */
export const PushSubscribe = Schema.Struct({
  subscription: Schema.Struct({
    endpoint: NonEmpty.pipe(Schema.maxLength(2048)),
    keys: Schema.Struct({
      p256dh: NonEmpty.pipe(Schema.maxLength(256)),
      auth: NonEmpty.pipe(Schema.maxLength(128))
    })
  })
})

export const PushEndpoint = Schema.Struct({ endpoint: NonEmpty.pipe(Schema.maxLength(2048)) })
