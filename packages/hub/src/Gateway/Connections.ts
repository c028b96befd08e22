/**
 * The connections that have finished the handshake, what each has subscribed to, and events on their way to them.
 *
 * Plain broadcasts carry a `seq` per connection; targeted events carry none. A socket that buffers more than its limit
 * is slow: events that may be dropped are dropped for it alone, and others close it. What was dropped of a session is
 * remembered per connection and told in `sessions.gap` when the socket has drained, so that the client can replay it.
 * Source: spec 2 §1 ("Events").
 */

import type { Author } from "@causeway/protocol/Event"
import {
  type ClientInfo,
  CloseCode,
  type EventFrame,
  MAX_BUFFERED_BYTES,
  MAX_CLOSE_REASON_BYTES
} from "@causeway/protocol/Gateway/Frames"
import type { OrganizationId } from "@causeway/protocol/Ids"
import type { Scope } from "@causeway/protocol/Permission"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { holds } from "./Scopes.ts"

/** What a socket must offer. `ws` does. */
export interface Wire {
  readonly bufferedAmount: number
  /** `done` is called when the text has left, or with the reason why it never will. */
  readonly send: (text: string, done: (error?: Error | null) => void) => void
  readonly close: (code: number, reason: string) => void
}

/** At most 120 bytes, never within a character. */
export const closeReason = (reason: string): string => {
  const bytes = Buffer.from(reason, "utf8")
  if (bytes.length <= MAX_CLOSE_REASON_BYTES) return reason
  let end = MAX_CLOSE_REASON_BYTES
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return bytes.subarray(0, end).toString("utf8")
}

export interface ConnectionInfo {
  readonly id: string
  readonly organizationId: OrganizationId
  /** Whose token opened it; undefined for devices that came with their own. */
  readonly tokenId: string | undefined
  readonly role: string
  readonly scopes: ReadonlyArray<string>
  readonly client: ClientInfo
  readonly deviceId: string | undefined
  /** Who is named by what it sends. */
  readonly author: Author
  readonly caps: ReadonlyArray<string>
  readonly remoteAddress: string | undefined
  readonly connectedAt: number
}

/** What a slow client has missed of a session: everything after `afterSeq` of its log. */
export interface Missed {
  readonly sessionKey: string
  readonly sessionId: string
  readonly afterSeq: number
}

/** Where an event stands in a session's log, so that what is dropped can be told. */
export interface LogPosition {
  readonly sessionKey: string
  readonly sessionId: string
  readonly logSeq: number
}

export class Connection {
  readonly info: ConnectionInfo
  /** Wants `sessions.changed`, `session.message` and `session.tool` of all sessions. */
  allSessions = false
  /** Canonical keys whose messages it wants. */
  readonly messageKeys = new Set<string>()
  /** Refusals of its role in a row. */
  unauthorized = 0
  private readonly wire: Wire
  private readonly limit: number
  private seq = 0
  private readonly missed = new Map<string, Missed>()
  private closed = false
  /** Bytes of the paced text that is on its way; 0 while there is none. */
  private pacing = 0
  /** Those who wait to send the next, first come first. */
  private readonly turns = new Set<() => void>()

  constructor(info: ConnectionInfo, wire: Wire, limit: number) {
    this.info = info
    this.wire = wire
    this.limit = limit
  }

  /** What waits for the client beside the paced text, which waits because it may. */
  private get buffered(): number {
    return this.wire.bufferedAmount - this.pacing
  }

  private get slow(): boolean {
    return this.buffered > this.limit
  }

  private write(text: string): void {
    this.wire.send(text, () => this.drained())
  }

  /** An answer or an event that must arrive; a socket too slow for it is closed. */
  send(text: string): boolean {
    if (this.closed) return false
    if (this.slow) {
      this.close(CloseCode.policy, "slow consumer")
      return false
    }
    this.write(text)
    return true
  }

  /** An event that is dropped where the socket is slow. */
  offer(text: string, at?: LogPosition): boolean {
    if (this.closed) return false
    if (this.slow) {
      if (at !== undefined) this.miss(at)
      return false
    }
    this.write(text)
    return true
  }

  /**
   * Sends at the client's pace: waits for its turn, and completes when the socket has taken the text. One paced text of a
   * connection is on its way at a time, and none while much else is: it neither makes a client slow nor is it dropped.
   * Never completes on a connection that has closed. Interruption gives up the turn; what was sent stays sent.
   */
  paced(text: string): Effect.Effect<void> {
    return Effect.async((resume) => {
      const turn = () => {
        this.pacing = Buffer.byteLength(text)
        this.wire.send(text, (error) => {
          this.pacing = 0
          if (error != null) return
          resume(Effect.void)
          this.drained()
        })
      }
      this.turns.add(turn)
      this.pace()
      return Effect.sync(() => {
        this.turns.delete(turn)
      })
    })
  }

  private pace(): void {
    if (this.closed || this.pacing > 0 || this.wire.bufferedAmount > this.limit / 2) return
    const [turn] = this.turns
    if (turn === undefined) return
    this.turns.delete(turn)
    turn()
  }

  /** The number of the next plain broadcast. A dropped one takes its number with it. */
  nextSeq(): number {
    this.seq += 1
    return this.seq
  }

  private miss(at: LogPosition): void {
    const before = this.missed.get(at.sessionKey)
    const same = before !== undefined && before.sessionId === at.sessionId
    this.missed.set(at.sessionKey, {
      sessionKey: at.sessionKey,
      sessionId: at.sessionId,
      afterSeq: Math.min(same ? before.afterSeq : Number.MAX_SAFE_INTEGER, Math.max(0, at.logSeq - 1))
    })
  }

  private drained(): void {
    this.tellMissed()
    this.pace()
  }

  private tellMissed(): void {
    if (this.closed || this.missed.size === 0 || this.buffered > this.limit / 2) return
    const sessions = [...this.missed.values()]
    this.missed.clear()
    this.write(JSON.stringify({ type: "event", event: "sessions.gap", payload: { sessions } }))
  }

  close(code: number, reason: string): void {
    if (this.closed) return
    this.closed = true
    this.wire.close(code, closeReason(reason))
  }

  get isClosed(): boolean {
    return this.closed
  }
}

/** Who may see an event: those who hold the scope; everyone for `any`. */
const guards: { readonly [event: string]: Scope | "any" } = {
  agent: "operator.read",
  chat: "operator.read",
  "sessions.changed": "operator.read",
  "session.message": "operator.read",
  "session.tool": "operator.read",
  "session.approval": "operator.read",
  "session.delivery": "operator.read",
  "sessions.gap": "operator.read",
  "session.frames": "operator.read",
  "session.watch.ended": "operator.read",
  "causeway.sessions.changed": "operator.read",
  "device.pair.requested": "operator.pairing",
  "device.pair.resolved": "operator.pairing",
  tick: "any",
  health: "any",
  presence: "operator.read",
  shutdown: "any"
}

export const eventNames: ReadonlyArray<string> = ["connect.challenge", ...Object.keys(guards)]

/** A connection that is told events of this name. */
export const maySee = (connection: Connection, event: string): boolean => {
  const guard = guards[event]
  if (guard === undefined) return false
  return guard === "any" || (connection.info.role === "operator" && holds(connection.info.scopes, guard))
}

export interface BroadcastOptions {
  /** Only connections of this organisation. Default: all. */
  readonly organizationId?: OrganizationId
  readonly dropIfSlow?: boolean
  readonly stateVersion?: EventFrame["stateVersion"]
  readonly only?: (connection: Connection) => boolean
}

export class Connections {
  private readonly connections = new Map<string, Connection>()
  readonly maxBufferedBytes: number

  constructor(maxBufferedBytes: number) {
    this.maxBufferedBytes = maxBufferedBytes
  }

  add(connection: Connection): void {
    this.connections.set(connection.info.id, connection)
  }

  remove(id: string): void {
    this.connections.delete(id)
  }

  get(id: string): Connection | undefined {
    return this.connections.get(id)
  }

  get all(): Iterable<Connection> {
    return this.connections.values()
  }

  get size(): number {
    return this.connections.size
  }

  /** Whether anyone of this organisation wants to hear of all sessions. */
  hasSubscribers(organizationId: OrganizationId): boolean {
    for (const each of this.connections.values()) {
      if (each.allSessions && each.info.organizationId === organizationId) return true
    }
    return false
  }

  /** Whether anyone of this organisation watches this session or all of them. */
  hasWatchers(organizationId: OrganizationId, key: string): boolean {
    for (const each of this.connections.values()) {
      if (each.info.organizationId !== organizationId) continue
      if (each.allSessions || each.messageKeys.has(key)) return true
    }
    return false
  }

  /** A plain broadcast: everyone who may see it, numbered per connection. */
  broadcast(event: string, payload: unknown, options: BroadcastOptions = {}): void {
    let body: string | undefined
    for (const each of this.connections.values()) {
      if (options.organizationId !== undefined && each.info.organizationId !== options.organizationId)
        continue
      if (!maySee(each, event) || (options.only !== undefined && !options.only(each))) continue
      body ??= `${JSON.stringify({ type: "event", event, payload }).slice(0, -1)}${
        options.stateVersion === undefined ? "" : `,"stateVersion":${JSON.stringify(options.stateVersion)}`
      }`
      const text = `${body},"seq":${each.nextSeq()}}`
      if (options.dropIfSlow === true) each.offer(text)
      else each.send(text)
    }
  }

  /** An event for some connections, without a number; dropped for those that are slow. */
  target(
    event: string,
    payload: unknown,
    organizationId: OrganizationId,
    to: (connection: Connection) => boolean,
    at?: LogPosition
  ): void {
    let text: string | undefined
    for (const each of this.connections.values()) {
      if (each.info.organizationId !== organizationId || !to(each) || !maySee(each, event)) continue
      text ??= JSON.stringify({ type: "event", event, payload })
      each.offer(text, at)
    }
  }

  closeAll(code: number, reason: string): void {
    for (const each of this.connections.values()) each.close(code, reason)
  }
}

export class GatewayConnections extends Context.Tag("@causeway/hub/GatewayConnections")<
  GatewayConnections,
  Connections
>() {}

export const layer = (maxBufferedBytes: number = MAX_BUFFERED_BYTES): Layer.Layer<GatewayConnections> =>
  Layer.sync(GatewayConnections, () => new Connections(maxBufferedBytes))
