/** A machine that is online, whose worker the test plays by hand over HTTP, so that every state can be looked at. */
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

/** Events that the hub takes at once. */
const BATCH = 100

export interface LogEvent {
  readonly uuid: string
  readonly source: string
  readonly payload: Json
}

export interface Worker {
  /** Reports lines of the agent. Partial text is ephemeral. */
  readonly says: (...payloads: ReadonlyArray<Json>) => Promise<unknown>
  /** Reports how far a message has come. */
  readonly delivers: (uuid: string, status: "received" | "processing" | "processed") => Promise<unknown>
}

export interface Api {
  readonly environmentId: string
  /** The machine is heard of once more. */
  readonly poll: () => Promise<unknown>
  /** Makes a session of this machine; answers its id. */
  readonly session: (title?: string) => Promise<string>
  readonly worker: (session: string) => Promise<Worker>
  /** Reads a session's log from its beginning until an event satisfies `wanted`, and answers that one. */
  readonly find: (session: string, wanted: (event: LogEvent) => boolean) => Promise<LogEvent>
}

export const make = async (hub: {
  readonly url: string
  readonly token: string
  readonly directory: string
}): Promise<Api> => {
  const { url, token } = hub
  const call = (method: string, path: string, bearer: string, body?: unknown): Promise<Json> =>
    fetch(`${url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${bearer}`,
        "anthropic-beta": "ccr-byoc-2025-07-29",
        ...(body === undefined ? {} : { "content-type": "application/json" })
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    }).then(json)

  const environment = await call("POST", "/v1/environments/bridge", token, {
    machine_name: "build-box",
    directory: hub.directory,
    max_sessions: 100
  })
  const environmentId = string(environment["environment_id"])
  const poll = () =>
    call(
      "GET",
      `/v1/environments/${environmentId}/work/poll?block_ms=1`,
      string(environment["environment_secret"])
    )
  await poll()

  return {
    environmentId,
    poll,
    session: async (title) => {
      const made = await call("POST", "/v1/sessions", token, {
        environment_id: environmentId,
        ...(title === undefined ? {} : { title })
      })
      return string(made["id"])
    },
    worker: async (session) => {
      const grant = await call("POST", `/v1/code/sessions/${session}/bridge`, token, {})
      const ingress = string(grant["worker_jwt"])
      const worker_epoch = grant["worker_epoch"]
      const base = `/v1/code/sessions/${session}/worker`
      let lines = 0
      return {
        says: async (...payloads) => {
          for (let at = 0; at < payloads.length; at += BATCH) {
            await call("POST", `${base}/events`, ingress, {
              worker_epoch,
              events: payloads.slice(at, at + BATCH).map((payload) => ({
                payload: { uuid: `line-${lines++}`, ...payload },
                ...(payload["type"] === "stream_event" ? { ephemeral: true } : {})
              }))
            })
          }
        },
        delivers: (event_id, status) =>
          call("POST", `${base}/events/delivery`, ingress, { worker_epoch, updates: [{ event_id, status }] })
      }
    },
    find: async (session, wanted) => {
      const abort = new AbortController()
      const response = await fetch(`${url}/v1/code/sessions/${session}/events/stream`, {
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
  }
}
