// What every page does beyond plain HTML and htmx: keys, theme, copying, live progress, and messages of what went wrong.

const page = document.documentElement;
const toast = document.getElementById("toast");

function showToast(text, kind = "bad") {
  if (!toast || !text) return null;
  const note = document.createElement("p");
  note.className = `note ${kind}`;
  note.textContent = text.slice(0, 500);
  toast.append(note);
  if (kind !== "warn") setTimeout(() => note.remove(), 8000);
  return note;
}

// On a narrow screen the pages stand in a row that scrolls.
document.querySelector("nav [aria-current=page]")?.scrollIntoView({ block: "nearest", inline: "center" });

// --- keys

const sections = { o: "overview", s: "servers", t: "tools", f: "search", m: "map", r: "roles", k: "keys", e: "embedding", a: "audit" };
let prefixPressedAt = 0;

function isTyping(target) {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && isTyping(event.target)) {
    event.target.blur();
    return;
  }
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  if (event.key === "/") {
    const search = document.querySelector("[data-search]") ?? document.querySelector("input[type=search]");
    if (search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  } else if (event.key === "?") {
    event.preventDefault();
    document.getElementById("keys")?.showModal();
  } else if (event.key === "g") {
    prefixPressedAt = Date.now();
  } else if (Date.now() - prefixPressedAt < 1500) {
    prefixPressedAt = 0;
    const link = document.querySelector(`nav a[data-section="${sections[event.key] ?? ""}"]`);
    if (link) link.click();
  }
});

// --- clicks

function setTheme(theme) {
  page.dataset.theme = theme;
  document.cookie = `modelgate_theme=${theme};path=/;max-age=31536000;samesite=strict`;
  document.dispatchEvent(new CustomEvent("themechange"));
}

document.addEventListener("click", async (event) => {
  const target = event.target instanceof Element ? event.target.closest("[data-open],[data-theme-toggle],[data-copy]") : null;
  if (!target) return;
  if (target.dataset.open) {
    document.getElementById(target.dataset.open)?.showModal();
  } else if ("themeToggle" in target.dataset) {
    const dark = page.dataset.theme
      ? page.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    setTheme(dark ? "light" : "dark");
  } else {
    const source = document.getElementById(target.dataset.copy);
    const text = source?.value ?? source?.textContent ?? "";
    try {
      await navigator.clipboard.writeText(text);
      const before = target.textContent;
      target.textContent = "Copied";
      setTimeout(() => { target.textContent = before; }, 1500);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      showToast("The browser did not allow copying; the text is selected, press Ctrl+C.", "warn");
    }
  }
});

// Anything that a change decides at once is sent as it is chosen.
document.addEventListener("change", (event) => {
  const field = event.target;
  if (field instanceof HTMLElement && "sendOnChange" in field.dataset) field.form.requestSubmit();
});

// A form that was sent is not sent again while its answer is awaited.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.hasAttribute("hx-post") || form.hasAttribute("hx-get") || form.method === "get" || event.defaultPrevented) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "true";
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// --- parts of pages

document.addEventListener("htmx:responseError", (event) => {
  const { xhr } = event.detail;
  const plain = (xhr.getResponseHeader("Content-Type") ?? "").startsWith("text/plain");
  showToast(plain ? xhr.responseText : `The gateway answered ${xhr.status}; load the page again.`);
});
document.addEventListener("htmx:sendError", () => showToast("The gateway does not answer; check that it runs, then try again."));
document.addEventListener("htmx:timeout", () => showToast("The gateway took too long to answer; try again."));

// --- live progress: a stream of replacements for elements, each found by its id

let stream = null;
let lostNotice = null;

function replaceFragment(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  for (const element of [...holder.content.children]) {
    const current = element.id && document.getElementById(element.id);
    if (!current) continue;
    const focused = current.contains(document.activeElement) ? document.activeElement.id : "";
    current.replaceWith(element);
    window.htmx.process(element);
    if (focused) document.getElementById(focused)?.focus();
  }
}

function followProgress() {
  const live = document.querySelector("[data-live]");
  if (!live || stream) return;
  stream = new EventSource(live.dataset.live);
  stream.addEventListener("open", () => {
    lostNotice?.remove();
    lostNotice = null;
  });
  stream.addEventListener("fragment", (event) => replaceFragment(event.data));
  stream.addEventListener("end", () => {
    stream.close();
    stream = null;
  });
  stream.addEventListener("error", () => {
    lostNotice ??= showToast("The connection to the gateway was lost; what you see may be out of date. Trying again…", "warn");
    if (stream.readyState !== EventSource.CLOSED) return;
    // The gateway refused: it restarts, or the session has ended, which a load of the page will tell.
    stream = null;
    setTimeout(async () => {
      const answer = await fetch(location.href, { method: "HEAD", redirect: "manual" }).catch(() => null);
      if (answer && answer.type !== "opaqueredirect" && answer.ok) followProgress();
      else if (answer) location.reload();
      else setTimeout(follow, 2000);
    }, 1000);
  });
}
document.addEventListener("htmx:afterSettle", followProgress);
addEventListener("pagehide", () => stream?.close());
followProgress();

if (document.querySelector("canvas[data-map]")) import(document.querySelector("canvas[data-map]").dataset.script);
