/** Devices that may use the hub: let another one in, approve those that ask, revoke. And this one's notifications. */
import { Check, ChevronLeft, Copy, MonitorSmartphone, Plus } from "lucide-react"
import { useEffect, useRef, useState } from "react"
import type * as Devices from "../Devices.ts"
import * as Route from "../Route.ts"
import * as Text from "../Text.ts"
import { Dialog } from "./Dialog.tsx"
import { NotificationSettings } from "./NotificationSettings.tsx"
import { QrCode } from "./QrCode.tsx"
import { useModel, useModelState, useNow } from "./use.ts"

const scopeWords: ReadonlyMap<string, string> = new Map([
  ["operator.admin", "everything"],
  ["operator.write", "send messages"],
  ["operator.read", "read"],
  ["operator.approvals", "approve"],
  ["operator.pairing", "manage devices"]
])
/** What a device may do. */
export const may = (scopes: ReadonlyArray<string>): string =>
  scopes.includes("operator.admin")
    ? "may do everything"
    : `may ${scopes.map((scope) => scopeWords.get(scope) ?? Text.line(scope, 40)).join(", ") || "do nothing"}`

/** Whether other machines cannot reach an address with this host: it means each machine itself. */
const isLoopback = (host: string): boolean => /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/.test(host)

const leftText = (millis: number): string => {
  const seconds = Math.max(0, Math.ceil(millis / 1000))
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`
}

const Invitation = ({ code, again }: { readonly code: Devices.Code; readonly again: () => void }) => {
  const now = useNow(1000)
  const [copied, setCopied] = useState<boolean | null>(null)
  const field = useRef<HTMLInputElement>(null)
  const page = new URL(code.page ?? ".", location.href)
  const address = Route.toCode(page.href, code.code)
  const left = code.expiresAt - now
  if (left <= 0) {
    return (
      <>
        <p role="status">This code has expired.</p>
        <div className="actions">
          <button type="button" className="primary" onClick={again}>
            Make a new one
          </button>
        </div>
      </>
    )
  }
  return (
    <>
      <p>Open this address on the other device, or point its camera here. It lets one device in, once.</p>
      <QrCode text={address} label="QR code of this invitation" />
      <label htmlFor="invitation">Address</label>
      <div className="invitation">
        <input
          ref={field}
          id="invitation"
          readOnly
          value={address}
          onFocus={(event) => event.target.select()}
        />
        <button
          type="button"
          onClick={() => {
            const byHand = (): boolean => {
              field.current?.select()
              return document.execCommand("copy")
            }
            // The clipboard is there on https and on this machine's own addresses only.
            const copying = navigator.clipboard?.writeText(address) ?? Promise.reject(new Error("none"))
            copying.then(
              () => setCopied(true),
              () => setCopied(byHand())
            )
          }}
        >
          {copied === true ? <Check size={15} aria-hidden="true" /> : <Copy size={15} aria-hidden="true" />}
          {copied === true ? "Copied" : "Copy"}
        </button>
      </div>
      {copied === false ? (
        <p className="note" role="status">
          This browser does not let the page copy: select the address and copy it by hand.
        </p>
      ) : null}
      {isLoopback(page.hostname) ? (
        <p className="note warn">
          A phone cannot reach this address: {page.hostname} means each machine itself. Open this page by the
          machine's name or address in your network, and make a code there.
        </p>
      ) : null}
      <p className="note">
        Good for another <span className="left">{leftText(left)}</span>. Whoever has it may do what you may.
      </p>
    </>
  )
}

const AddDevice = ({ close }: { readonly close: () => void }) => {
  const { devices } = useModel()
  const [code, setCode] = useState<Devices.Code | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  const [round, setRound] = useState(0)
  // biome-ignore lint/correctness/useExhaustiveDependencies: each round makes another code.
  useEffect(() => {
    let mounted = true
    setCode(null)
    setProblem(null)
    void devices.createCode().then((made) => {
      if (!mounted) return
      if (made.ok) setCode(made.value)
      else setProblem(made.message)
    })
    return () => {
      mounted = false
    }
  }, [devices, round])
  const again = () => setRound(round + 1)
  return (
    <Dialog title="Add a device" close={close}>
      <div className="fields">
        {code !== null ? (
          <Invitation code={code} again={again} />
        ) : problem === null ? (
          <p className="note">Making a code…</p>
        ) : (
          <>
            <p className="note bad" role="alert">
              No code was made: {Text.line(problem, 300)}
            </p>
            <div className="actions">
              <button type="button" onClick={again}>
                Try again
              </button>
            </div>
          </>
        )}
      </div>
    </Dialog>
  )
}

const ago = (millis: number | null, now: number): string =>
  millis === null ? "never" : now - millis < 60_000 ? "just now" : `${Text.ago(millis, now)} ago`

export const DevicesPane = () => {
  const model = useModel()
  const { devices, connection } = useModelState()
  const now = useNow(10_000)
  const [adding, setAdding] = useState(false)
  const [revoking, setRevoking] = useState<Devices.Paired | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  useEffect(() => {
    document.title = "Devices · Causeway"
  }, [])
  const connected = connection._tag === "connected"
  const settle = (what: string, done: ReturnType<typeof model.devices.remove>): void => {
    setProblem(null)
    void done.then((result) => {
      if (!result.ok) setProblem(`${what}: ${result.message}`)
    })
  }
  return (
    <section className="page" aria-label="Devices">
      <header>
        <div className="line">
          <a className="icon back" href={Route.toList} aria-label="Sessions">
            <ChevronLeft size={20} aria-hidden="true" />
          </a>
          <h2>Devices</h2>
          <span className="grow" />
          <button type="button" className="primary" disabled={!connected} onClick={() => setAdding(true)}>
            <Plus size={16} aria-hidden="true" />
            Add a device
          </button>
        </div>
      </header>
      <div className="scroll devices">
        {problem === null ? null : (
          <p className="note bad" role="alert">
            {Text.line(problem, 300)}
          </p>
        )}
        {devices === null ? (
          <p className="note">
            {connected
              ? "This device may not see the others."
              : "The devices are shown once the hub is reached."}
          </p>
        ) : null}
        {devices === null || devices.requests.length === 0 ? null : (
          <section aria-labelledby="asking">
            <h3 id="asking">Waiting for approval</h3>
            <ul>
              {devices.requests.map((request) => (
                <li key={request.id} className="device asking">
                  <MonitorSmartphone size={20} aria-hidden="true" />
                  <div>
                    <strong>
                      <bdi>{Text.line(request.name, 80)}</bdi>
                    </strong>
                    <p className="note">
                      {request.address === null ? "" : `from ${Text.line(request.address, 60)} · `}
                      {request.at === null ? "" : `asked ${ago(request.at, now)} · `}
                      {may(request.scopes)} · request {Text.line(request.id, 60)}
                    </p>
                  </div>
                  <div className="actions">
                    <button
                      type="button"
                      className="primary"
                      disabled={!connected}
                      onClick={() => settle("Not approved", model.devices.approve(request.id))}
                    >
                      Approve
                    </button>
                    <button
                      type="button"
                      disabled={!connected}
                      onClick={() => settle("Not rejected", model.devices.reject(request.id))}
                    >
                      Reject
                    </button>
                  </div>
                </li>
              ))}
            </ul>
          </section>
        )}
        {devices === null ? null : (
          <section aria-labelledby="paired">
            <h3 id="paired">Signed in</h3>
            <ul>
              {devices.paired.map((device) => (
                <li key={device.id} className="device">
                  <MonitorSmartphone size={20} aria-hidden="true" />
                  <div>
                    <strong>
                      <bdi>{Text.line(device.name, 80)}</bdi>
                    </strong>
                    {device.current ? <span className="pill idle">this device</span> : null}
                    <p className="note">
                      {device.connected ? "connected now" : `last seen ${ago(device.lastSeenAt, now)}`} ·{" "}
                      {may(device.scopes)} · <code title={device.id}>{device.id.slice(0, 8)}</code>
                    </p>
                  </div>
                  <div className="actions">
                    <button
                      type="button"
                      className="danger"
                      aria-label={`Revoke ${Text.line(device.name, 80)}${device.current ? ", this device" : ""}`}
                      disabled={!connected}
                      onClick={() => setRevoking(device)}
                    >
                      Revoke
                    </button>
                  </div>
                </li>
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
            <bdi>{Text.line(revoking.name, 80)}</bdi>{" "}
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
                else settle("Not revoked", model.devices.remove(revoking.id))
              }}
            >
              Revoke
            </button>
          </div>
        </Dialog>
      )}
    </section>
  )
}
