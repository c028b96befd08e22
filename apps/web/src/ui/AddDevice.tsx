/** The dialog that lets another device in, by a code that is good for one. */
import type { DeviceCode } from "@causeway/protocol/Gateway/Answers"
import { Check, Copy } from "lucide-react"
import { useEffect, useState } from "react"
import * as Route from "../Route.ts"
import * as Text from "../Text.ts"
import { copy } from "./Code.tsx"
import { Dialog } from "./Dialog.tsx"
import { Problem } from "./Page.tsx"
import { QrCode } from "./QrCode.tsx"
import { useModel, useNow } from "./use.ts"

/** Whether other machines cannot reach an address with this host: it means each machine itself. */
const isLoopback = (host: string): boolean => /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/.test(host)

const leftText = (millis: number): string => {
  const seconds = Math.max(0, Math.ceil(millis / 1000))
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`
}

const Invitation = ({ code, again }: { readonly code: DeviceCode; readonly again: () => void }) => {
  const now = useNow(1000)
  const [copied, setCopied] = useState<boolean | null>(null)
  const page = new URL(code.page ?? ".", location.href)
  const address = Route.toCode(page.href, code.code)
  const left = code.expiresAtMs - now
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
        <input id="invitation" readOnly value={address} onFocus={(event) => event.target.select()} />
        <button type="button" onClick={() => void copy(address).then(setCopied)}>
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

export const AddDevice = ({ close }: { readonly close: () => void }) => {
  const { devices } = useModel()
  const [code, setCode] = useState<DeviceCode | null>(null)
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
            <Problem text={`No code was made: ${Text.line(problem, 300)}`} />
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
