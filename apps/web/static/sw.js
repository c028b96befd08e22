// Keeps the page's own files, so that it opens while the hub is away. The network is asked first: an upgraded hub is seen
// at the next load. What the hub's APIs answer is never kept.
const CACHE = "shell-1"
const SHELL = ["/", "/main.js", "/style.css", "/icon.svg", "/manifest.webmanifest"]
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

addEventListener("fetch", (event) => {
  const url = new URL(event.request.url)
  if (event.request.method !== "GET" || url.origin !== location.origin || !isShell(url)) return
  event.respondWith(
    fetch(event.request).then(
      (response) => {
        if (response.ok) {
          const copy = response.clone()
          event.waitUntil(caches.open(CACHE).then((cache) => cache.put(event.request, copy)))
        }
        return response
      },
      () => caches.match(event.request).then((kept) => kept ?? Response.error())
    )
  )
})
