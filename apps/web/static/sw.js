// Keeps the page's own files, so that it opens while the hub is away, and shows what the hub pushes. The network is asked
// first: an upgraded hub is seen at the next load. Nothing else that the hub answers is ever kept.
const { scope } = registration
// Other programs, and other hubs, may have pages of the same origin under other paths: what is theirs is not touched.
const OWN = `causeway ${scope} `
const CACHE = `${OWN}3`
const SHELL = ["", "main.js", "style.css", "access.css", "icon.svg", "manifest.webmanifest"]
/** Names of earlier versions, which knew no path. */
const isOld = (name) =>
  name !== CACHE && (name.startsWith(OWN) || (new URL(scope).pathname === "/" && /^shell-\d$/.test(name)))
/** Longest wait for a hub that neither answers nor refuses, where the file is kept. */
const WAIT_MILLIS = 4000

const isShell = (url) => {
  const place = new URL(url.pathname, url.origin).href
  if (!place.startsWith(scope)) return false
  const name = place.slice(scope.length)
  return SHELL.includes(name) || name === "index.html" || /^chunks\/[\w.-]+\.js$/.test(name)
}

addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(SHELL.map((name) => new URL(name, scope).href)))
      .then(() => skipWaiting())
  )
})

addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter(isOld).map((name) => caches.delete(name))))
      .then(() => clients.claim())
  )
})

/** The hub marks its answers; a proxy whose hub is away answers with a page of its own. */
const isHubs = (response) => response.headers.has("x-causeway-hub")

const fresh = async (event) => {
  const response = await fetch(event.request)
  if (response.ok && isHubs(response)) {
    const copy = response.clone()
    event.waitUntil(caches.open(CACHE).then((cache) => cache.put(event.request, copy)))
  }
  return response
}

const answer = async (event) => {
  const kept = await (await caches.open(CACHE)).match(event.request, { ignoreSearch: true })
  if (kept === undefined) return fresh(event)
  const slow = new Promise((resolve) => setTimeout(() => resolve(kept), WAIT_MILLIS))
  const now = fresh(event).then(
    (response) => (response.ok || isHubs(response) ? response : kept),
    () => kept
  )
  return Promise.race([now, slow])
}

addEventListener("fetch", (event) => {
  const url = new URL(event.request.url)
  if (event.request.method !== "GET" || !isShell(url)) return
  event.respondWith(answer(event))
})

// --- Notifications ---

const text = (value, other) => (typeof value === "string" && value !== "" ? value : other)
/** A place on this page, and nowhere else. */
const fragment = (value) => (typeof value === "string" && /^#\/[\w/-]*$/.test(value) ? value : "#/")

addEventListener("push", (event) => {
  let data = {}
  try {
    data = event.data?.json() ?? {}
  } catch {
    // Not the hub's: shown without words of its own, as every push has to be shown.
  }
  event.waitUntil(
    registration.showNotification(text(data.title, "Causeway"), {
      body: text(data.body, "Something has happened."),
      tag: text(data.tag, "causeway"),
      data: { url: fragment(data.url) }
    })
  )
})

const show = async (url) => {
  const all = await clients.matchAll({ type: "window", includeUncontrolled: true })
  const open = all.filter((client) => client.url.startsWith(scope))
  const [client] = open.sort((a, b) => Number(b.focused) - Number(a.focused))
  if (client === undefined) return clients.openWindow(new URL(url, scope).href)
  client.postMessage({ go: url })
  return client.focus()
}

addEventListener("notificationclick", (event) => {
  event.notification.close()
  event.waitUntil(show(fragment(event.notification.data?.url)))
})
