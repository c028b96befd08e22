// Keeps the page's own files, so that it opens while the hub is away, and shows what the hub pushes. The network is asked
// first: an upgraded hub is seen at the next load. Nothing else that the hub answers is ever kept.
const CACHE = "shell-2"
const SHELL = ["/", "/main.js", "/style.css", "/access.css", "/icon.svg", "/manifest.webmanifest"]
/** Longest wait for a hub that neither answers nor refuses, where the file is kept. */
const WAIT_MILLIS = 4000

const isShell = ({ pathname }) =>
  SHELL.includes(pathname) || pathname === "/index.html" || /^\/chunks\/[\w.-]+\.js$/.test(pathname)

addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(SHELL))
      .then(() => skipWaiting())
  )
})

addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name))))
      .then(() => clients.claim())
  )
})

const fresh = async (event) => {
  const response = await fetch(event.request)
  if (response.ok) {
    const copy = response.clone()
    event.waitUntil(caches.open(CACHE).then((cache) => cache.put(event.request, copy)))
  }
  return response
}

const answer = async (event) => {
  const kept = await caches.match(event.request, { ignoreSearch: true })
  if (kept === undefined) return fresh(event)
  const slow = new Promise((resolve) => setTimeout(() => resolve(kept), WAIT_MILLIS))
  return Promise.race([fresh(event).catch(() => kept), slow])
}

addEventListener("fetch", (event) => {
  const url = new URL(event.request.url)
  if (event.request.method !== "GET" || url.origin !== location.origin || !isShell(url)) return
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
  const open = await clients.matchAll({ type: "window", includeUncontrolled: true })
  const [client] = [...open].sort((a, b) => Number(b.focused) - Number(a.focused))
  if (client === undefined) return clients.openWindow(`/${url}`)
  client.postMessage({ go: url })
  return client.focus()
}

addEventListener("notificationclick", (event) => {
  event.notification.close()
  event.waitUntil(show(fragment(event.notification.data?.url)))
})
