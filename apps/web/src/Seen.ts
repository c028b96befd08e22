/**
 * The part of the page that can be seen, as custom properties for the styles: a phone's keyboard takes its place from the
 * visual viewport, and Safari leaves all else as large as it was.
 */

/** Keeps `--seen-height` and `--seen-top` true; answers how to end it. */
export const follow = (page: Window): (() => void) => {
  const root = page.document.documentElement
  const look = (): void => {
    const seen = page.visualViewport
    // Who has zoomed in looks at a part of a page that stays as it is.
    if (seen === null || Math.abs(seen.scale - 1) > 0.01) return
    root.style.setProperty("--seen-height", `${seen.height}px`)
    root.style.setProperty("--seen-top", `${seen.offsetTop}px`)
  }
  look()
  const seen = page.visualViewport
  seen?.addEventListener("resize", look)
  seen?.addEventListener("scroll", look)
  page.addEventListener("resize", look)
  return () => {
    seen?.removeEventListener("resize", look)
    seen?.removeEventListener("scroll", look)
    page.removeEventListener("resize", look)
  }
}
