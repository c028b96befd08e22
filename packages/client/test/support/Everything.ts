/** Every call of every service, for what must hold of all of them. */
import { EnvironmentId, SessionId, WorkId } from "@causeway/protocol/Ids"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { CodeSession } from "../../src/CodeSession.ts"
import { Credentials } from "../../src/Credentials.ts"
import * as Entry from "../../src/Entry.ts"
import { Environments } from "../../src/Environments.ts"
import { Ingress } from "../../src/Ingress.ts"
import { Poller } from "../../src/Poller.ts"
import { Sessions } from "../../src/Sessions.ts"
import { Teleport } from "../../src/Teleport.ts"
import { Viewer } from "../../src/Viewer.ts"
import * as Scripted from "./Scripted.ts"

const sessionId = SessionId.make("session_abc")
const environmentId = EnvironmentId.make("env_1")
const workId = WorkId.make("work_1")
const URL_ = `${Scripted.BASE}/v1/session_ingress/session/session_abc`

/** Every call there is, by name. */
export const everything = (tokens: { readonly ingress: string; readonly environment: string }) =>
  Effect.gen(function* () {
    const credentials = yield* Credentials
    yield* credentials.setIngressToken(sessionId, Redacted.make(tokens.ingress))
    yield* credentials.setEnvironmentSecret(environmentId, Redacted.make(tokens.environment))
    const sessions = yield* Sessions
    const ingress = yield* Ingress
    const environments = yield* Environments
    const teleport = yield* Teleport
    const poller = yield* Poller
    const worker = yield* CodeSession
    const viewer = yield* Viewer
    const target = { sessionId }
    const entry = Entry.make({ type: "user", uuid: "a" })
    const calls: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown>]> = [
      ["create", sessions.create({ environmentId, events: [] })],
      ["scoped", Effect.scoped(sessions.scoped({ environmentId, events: [] }))],
      ["get", sessions.get(sessionId)],
      ["list", sessions.list()],
      ["archive", sessions.archive(sessionId)],
      ["archiveAll", sessions.archiveAll([sessionId])],
      ["updateTitle", sessions.updateTitle(sessionId, "t")],
      ["sendEvents", sessions.sendEvents(sessionId, [])],
      ["append", ingress.append(sessionId, entry, URL_)],
      ["appendBatch", ingress.appendBatch(sessionId, [entry], URL_)],
      ["fetch", ingress.fetch(sessionId, URL_)],
      ["fetchWithAccessToken", ingress.fetchWithAccessToken(sessionId)],
      ["transcript", teleport.transcript(sessionId)],
      ["transcriptWithFallback", teleport.transcriptWithFallback(sessionId)],
      ["register", environments.register({ machineName: "m", directory: "/d", workerType: "t" })],
      ["deregister", environments.deregister(environmentId)],
      ["reconnect", environments.reconnect(environmentId, sessionId)],
      ["environment", environments.get(environmentId)],
      ["environments", environments.list()],
      ["work", Stream.runHead(poller.work(environmentId))],
      ["run", poller.run({ environmentId, workId }, Effect.void)],
      ["hold", poller.hold({ environmentId, workId })],
      ["createCode", worker.create({})],
      ["credentials", worker.credentials(sessionId)],
      ["workerRegister", worker.register(target)],
      ["refreshToken", worker.refreshToken(target)],
      ["getWorker", worker.getWorker(target)],
      ["putWorker", worker.putWorker(target, { epoch: 1 })],
      ["postEvents", worker.postEvents(target, 1, [{ text: "{}" }])],
      ["postDelivery", worker.postDelivery(target, 1, [{ eventId: entry.uuid, status: "received" }])],
      ["heartbeat", worker.heartbeat(target, 1)],
      ["stream", Stream.runHead(worker.stream(target, 0)).pipe(Effect.timeout("10 minutes"))],
      ["watch", Stream.runHead(viewer.watch(sessionId, 0)).pipe(Effect.timeout("10 minutes"))],
      ["send", viewer.send(sessionId, [{}])]
    ]
    return calls
  })
