/** A hub with a machine that is online, whose worker the test plays by hand over HTTP. */
import * as Hub from "@causeway/hub/Hub"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"

type Json = { readonly [key: string]: unknown }

/** What the hub answered; anything but a success is a failure of the test. */
const json = async (response: Response): Promise<Json> => {
  const text = await response.text()
  if (!response.ok) throw new Error(`${response.url}: ${response.status} ${text}`)
  const value: unknown = text === "" ? {} : JSON.parse(text)
  return typeof value === "object" && value !== null ? { ...value } : {}
}

const string = (value: unknown): string => {
  if (typeof value !== "string") throw new Error(`a string, not ${JSON.stringify(value)}`)
  return value
}

export interface LogEvent {
  readonly uuid: string
  readonly source: string
  readonly payload: Json
}

export const make = Effect.gen(function* () {
  const hub = yield* Hub.Hub
  const token = Redacted.value(Option.getOrThrow(hub.firstToken))
  const call = (method: string, path: string, bearer: string, body?: unknown): Promise<Json> =>
    fetch(`${hub.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${bearer}`,
        "anthropic-beta": "ccr-byoc-2025-07-29",
        ...(body === undefined ? {} : { "content-type": "application/json" })
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    }).then(json)

  const environment = yield* Effect.promise(() =>
    call("POST", "/v1/environments/bridge", token, {
      machine_name: "build-box",
      directory: "/home/ada/engine",
      max_sessions: 4
    })
  )
  // A poll is what makes it online.
  yield* Effect.promise(() =>
    call(
      "GET",
      `/v1/environments/${string(environment["environment_id"])}/work/poll?block_ms=1`,
      string(environment["environment_secret"])
    )
  )

  /** The worker of a session. */
  const worker = async (session: string) => {
    const grant = await call("POST", `/v1/code/sessions/${session}/bridge`, token, {})
    const ingress = string(grant["worker_jwt"])
    const worker_epoch = grant["worker_epoch"]
    const base = `/v1/code/sessions/${session}/worker`
    let lines = 0
    return {
      /** Reports lines of the agent. */
      says: (...payloads: ReadonlyArray<Json>) =>
        call("POST", `${base}/events`, ingress, {
          worker_epoch,
          events: payloads.map((payload) => ({
            payload: { uuid: `line-${lines++}`, ...payload },
            ...(payload["type"] === "stream_event" ? { ephemeral: true } : {})
          }))
        }),
      /** Reports how far a message has come. */
      delivers: (event_id: string, status: "received" | "processing" | "processed") =>
        call("POST", `${base}/events/delivery`, ingress, { worker_epoch, updates: [{ event_id, status }] })
    }
  }

  /** Reads a session's log from its beginning until an event satisfies `wanted`, and answers that one. */
  const find = async (session: string, wanted: (event: LogEvent) => boolean): Promise<LogEvent> => {
    const abort = new AbortController()
    const response = await fetch(`${hub.url}/v1/code/sessions/${session}/events/stream`, {
      headers: { authorization: `Bearer ${token}` },
      signal: abort.signal
    })
    const decoder = new TextDecoder()
    let text = ""
    try {
      for await (const chunk of response.body ?? []) {
        text += decoder.decode(chunk, { stream: true })
        const frames = text.split("\n\n")
        text = frames.pop() ?? ""
        for (const frame of frames) {
          const data = /^event: client_event\n(?:id: \d+\n)data: (.*)$/m.exec(frame)?.[1]
          if (data === undefined) continue
          const { event_id, source, payload } = JSON.parse(data)
          const event = { uuid: event_id, source, payload }
          if (wanted(event)) return event
        }
      }
    } finally {
      abort.abort()
    }
    throw new Error("the stream ended")
  }

  return { hub, token, worker, find }
})
