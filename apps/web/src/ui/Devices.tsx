/** Devices that may use the hub: let another one in, approve those that ask, revoke. And this one's notifications. */
import { MonitorSmartphone, Plus } from "lucide-react"
import { type ReactNode, useState } from "react"
import * as Devices from "../Devices.ts"
import * as Text from "../Text.ts"
import { AddDevice } from "./AddDevice.tsx"
import { Dialog } from "./Dialog.tsx"
import { NotificationSettings } from "./NotificationSettings.tsx"
import { Page, Problem } from "./Page.tsx"
import { useModel, useModelState, useNow, useTitle } from "./use.ts"

const scopeWords: ReadonlyMap<string, string> = new Map([
  ["operator.admin", "everything"],
  ["operator.write", "send messages"],
  ["operator.read", "read"],
  ["operator.approvals", "approve"],
  ["operator.pairing", "manage devices"]
])
/** What a device may do, in words. */
const may = (scopes: ReadonlyArray<string>): string =>
  scopes.includes("operator.admin")
    ? "may do everything"
    : `may ${scopes.map((scope) => scopeWords.get(scope) ?? Text.line(scope, 40)).join(", ") || "do nothing"}`

/** A device, what is known of it, and what can be done about it. */
const Device = ({
  name,
  className,
  badge,
  note,
  children
}: {
  readonly name: string
  readonly className: string
  readonly badge?: ReactNode
  readonly note: ReactNode
  readonly children: ReactNode
}) => (
  <li className={className}>
    <MonitorSmartphone size={20} aria-hidden="true" />
    <div>
      <strong>
        <bdi>{Text.line(name, 80)}</bdi>
      </strong>
      {badge}
      <p className="note">{note}</p>
    </div>
    <div className="actions">{children}</div>
  </li>
)

export const DevicesPane = () => {
  const model = useModel()
  const { devices, connection } = useModelState()
  const now = useNow(10_000)
  const [adding, setAdding] = useState(false)
  const [revoking, setRevoking] = useState<Devices.Listing["paired"][number] | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  useTitle("Devices")
  const connected = connection._tag === "connected"
  const settle = (what: string, done: ReturnType<typeof model.devices.remove>): void => {
    setProblem(null)
    void done.then((result) => {
      if (!result.ok) setProblem(Text.line(`${what}: ${result.message}`, 300))
    })
  }
  return (
    <Page
      name="Devices"
      beside={
        <>
          <span className="grow" />
          <button type="button" className="primary" disabled={!connected} onClick={() => setAdding(true)}>
            <Plus size={16} aria-hidden="true" />
            Add a device
          </button>
        </>
      }
    >
      <div className="scroll devices">
        <Problem text={problem} />
        {devices === null ? (
          <p className="note">
            {connected
              ? "This device may not see the others."
              : "The devices are shown once the hub is reached."}
          </p>
        ) : null}
        {devices === null || devices.requests.length === 0 ? null : (
          <section aria-labelledby="asking">
            <h2 id="asking">Waiting for approval</h2>
            <ul>
              {devices.requests.map((request) => (
                <Device
                  key={request.requestId}
                  name={Devices.nameOf(request)}
                  className="device asking"
                  note={
                    <>
                      {request.remoteIp === undefined ? "" : `from ${Text.line(request.remoteIp, 60)} · `}
                      asked {Text.since(request.ts, now)} · {may(request.scopes)} · request{" "}
                      {Text.line(request.requestId, 60)}
                    </>
                  }
                >
                  <button
                    type="button"
                    className="primary"
                    disabled={!connected}
                    onClick={() => settle("Not approved", model.devices.approve(request))}
                  >
                    Approve
                  </button>
                  <button
                    type="button"
                    disabled={!connected}
                    onClick={() => settle("Not rejected", model.devices.reject(request.requestId))}
                  >
                    Reject
                  </button>
                </Device>
              ))}
            </ul>
          </section>
        )}
        {devices === null ? null : (
          <section aria-labelledby="paired">
            <h2 id="paired">Signed in</h2>
            <ul>
              {devices.paired.map((device) => (
                <Device
                  key={device.deviceId}
                  name={Devices.nameOf(device)}
                  className="device"
                  badge={device.current ? <span className="pill idle">this device</span> : null}
                  note={
                    <>
                      {device.connected
                        ? "connected now"
                        : `last seen ${device.lastSeenAtMs === undefined ? "never" : Text.since(device.lastSeenAtMs, now)}`}{" "}
                      · {may(device.scopes)} ·{" "}
                      <code title={device.deviceId}>{device.deviceId.slice(0, 8)}</code>
                    </>
                  }
                >
                  <button
                    type="button"
                    className="danger"
                    aria-label={`Revoke ${Text.line(Devices.nameOf(device), 80)}${device.current ? ", this device" : ""}`}
                    disabled={!connected}
                    onClick={() => setRevoking(device)}
                  >
                    Revoke
                  </button>
                </Device>
              ))}
            </ul>
          </section>
        )}
        {/* Made anew, so that the hub is asked again once it is back. */}
        <NotificationSettings key={connection._tag} />
      </div>
      {adding ? <AddDevice close={() => setAdding(false)} /> : null}
      {revoking === null ? null : (
        <Dialog
          title={revoking.current ? "Sign this device out?" : "Revoke this device?"}
          close={() => setRevoking(null)}
        >
          <p>
            <bdi>{Text.line(Devices.nameOf(revoking), 80)}</bdi>{" "}
            {revoking.current
              ? "is the one you are looking at. You will need a token or a new link to come back."
              : "is disconnected at once, and needs a token or a new link to come back."}
          </p>
          <div className="actions">
            <span className="grow" />
            <button type="button" onClick={() => setRevoking(null)}>
              Cancel
            </button>
            <button
              type="button"
              className="danger"
              onClick={() => {
                setRevoking(null)
                if (revoking.current) model.signOut()
                else settle("Not revoked", model.devices.remove(revoking.deviceId))
              }}
            >
              Revoke
            </button>
          </div>
        </Dialog>
      )}
    </Page>
  )
}
