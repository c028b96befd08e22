/** Pushes, as a person sees that they fail. The browser's push service is played: headless browsers have none. */
import { createECDH, randomBytes } from "node:crypto"
import { describePage } from "./support/DescribePage.ts"

/** A browser whose push service is Apple's: it subscribes, and what the hub sends there is refused before it is sent. */
const ofApple = () => {
  const curve = createECDH("prime256v1")
  curve.generateKeys()
  return {
    endpoint: `https://web.push.apple.com/${randomBytes(8).toString("hex")}`,
    keys: { p256dh: curve.getPublicKey("base64url"), auth: randomBytes(16).toString("base64url") }
  }
}

/** Runs in the page, before its own scripts. */
const script = `(subscription) => {
  Object.defineProperty(Notification, "permission", { get: () => "granted" })
  Notification.requestPermission = async () => "granted"
  const kept = {
    endpoint: subscription.endpoint,
    options: { applicationServerKey: null },
    toJSON: () => subscription,
    unsubscribe: async () => sessionStorage.removeItem("subscribed")
  }
  const manager = {
    getSubscription: async () => (sessionStorage.getItem("subscribed") === null ? null : kept),
    subscribe: async () => {
      sessionStorage.setItem("subscribed", "yes")
      return kept
    }
  }
  Object.defineProperty(ServiceWorkerRegistration.prototype, "pushManager", { get: () => manager })
}`

describePage("pushes", (test) => {
  test("that cannot come are said, with the reason and what to do", async ({ page, shot }) => {
    await page.addInitScript({ content: `(${script})(${JSON.stringify(ofApple())})` })
    await page.reload()
    // The worker is there once it controls the page.
    await page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    await page.getByRole("link", { name: "Devices" }).click()
    await page.getByLabel("Tell me when I am needed").click()
    await page.getByText("On, even while this page is not open.").waitFor()
    await page.getByRole("button", { name: "Send a test" }).click()
    await page
      .getByText(/pushes fail: Apple's push service takes pushes only from a hub with a real address/)
      .waitFor()
    await shot("push-fails")
    // Told again to whoever comes back.
    await page.reload()
    await page.getByText(/pushes fail: Apple's push service/).waitFor()
  })
})
