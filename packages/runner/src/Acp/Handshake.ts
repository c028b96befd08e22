/** The first exchange with an ACP agent: its version and what it can do. Source: spec 4 §2. */
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Read from "@causeway/transcript/Read"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { AgentUnavailable } from "../Agent.ts"
import * as AgentProcess from "../Process/AgentProcess.ts"
import * as JsonRpc from "./JsonRpc.ts"
import type { Lines } from "./Lines.ts"
import * as Services from "./Services.ts"
import * as Session from "./Session.ts"

/** The protocol's version that this driver speaks. */
export const PROTOCOL_VERSION = 1

/** An agent that is being started. */
export interface Start {
  readonly agent: string
  /** Its command as a person wrote it, and the program of it. */
  readonly line: string
  readonly program: string
  readonly process: AgentProcess.AgentProcess
  readonly peer: JsonRpc.Peer
  readonly lines: Lines
  /** How long the agent may take to answer each request. */
  readonly within: Duration.DurationInput
}

/** An agent's account of itself. */
export interface Announced {
  readonly name: string
  readonly version: string
  readonly capabilities: JsonObject
  readonly authMethods: ReadonlyArray<JsonObject>
}

/** The agent announces a capability of sessions. */
export const can = ({ capabilities }: Announced, capability: string): boolean => {
  const announced = Read.object(capabilities["sessionCapabilities"])[capability]
  return typeof announced === "object" && announced !== null
}

export const unavailable = (
  { agent }: { readonly agent: string },
  reason: AgentUnavailable["reason"],
  detail: string
): AgentUnavailable => new AgentUnavailable({ agent, reason, detail })

export const bounded = <A, E, R>(
  start: Start,
  method: string,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | AgentUnavailable, R> =>
  Effect.timeoutFail(effect, {
    duration: start.within,
    onTimeout: () =>
      unavailable(
        start,
        "Unknown",
        `${start.program} did not answer ${method} in time; does it speak ACP over stdio?`
      )
  })

const signIn = (agent: Announced, line: string): string => {
  const ways = agent.authMethods.map((method) => {
    const name = Read.name(method["name"]) ?? Read.name(method["id"]) ?? "sign in"
    const description = Read.name(method["description"], 1024)
    const args = method["type"] === "terminal" ? Read.array(method["args"]).join(" ") : ""
    return `${name}${description === null ? "" : ` (${description})`}${args === "" ? "" : `: run ${line} ${args}`}`
  })
  const offer = ways.length === 0 ? `Run ${line} in a terminal to see how.` : `It offers: ${ways.join("; ")}`
  return `${agent.name} is not signed in; sign in on this machine, then start it again. ${offer}`
}

/** Failures of a request while the agent starts, in words for a person. `failed` names what was asked for. */
export const explained = <A, R>(
  start: Start,
  effect: Effect.Effect<A, AgentUnavailable | JsonRpc.RpcError | AgentProcess.ProcessGone, R>,
  failed: string,
  announced?: Announced
): Effect.Effect<A, AgentUnavailable, R> =>
  Effect.catchTags(effect, {
    ProcessGone: () =>
      AgentProcess.endedAtOnce(
        start.process,
        { agent: start.agent, command: start.program },
        start.lines.early().flatMap((each) => (each._tag === "Bad" ? [each.excerpt] : []))
      ),
    RpcError: (cause) =>
      announced !== undefined && cause.code === JsonRpc.codes.authRequired
        ? unavailable(start, "SignedOut", signIn(announced, start.line))
        : unavailable(
            start,
            "Unknown",
            `${announced?.name ?? start.program} ${failed}: ${Session.describe(cause)}`
          )
  })

export const initialize = (start: Start): Effect.Effect<Announced, AgentUnavailable> =>
  Effect.gen(function* () {
    const request = start.peer.request("initialize", {
      protocolVersion: PROTOCOL_VERSION,
      clientCapabilities: Services.capabilities,
      clientInfo: { name: "causeway", title: "Causeway", version: "0.1.0" }
    })
    const reply = Read.object(
      yield* bounded(start, "initialize", explained(start, request, "refused to initialize"))
    )
    const { protocolVersion } = reply
    if (protocolVersion !== PROTOCOL_VERSION) {
      return yield* unavailable(
        start,
        "WrongVersion",
        `${start.program} speaks version ${JSON.stringify(protocolVersion)} of ACP, this program version ${PROTOCOL_VERSION}`
      )
    }
    const info = Read.object(reply["agentInfo"])
    return {
      name: Read.name(info["title"]) ?? Read.name(info["name"]) ?? start.program,
      version: Read.name(info["version"]) ?? "",
      capabilities: Read.object(reply["agentCapabilities"]),
      authMethods: Read.array(reply["authMethods"]).map(Read.object)
    }
  })
