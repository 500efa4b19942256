// What every page does beyond plain HTML and htmx: keys, theme, copying, live progress, and telling what went wrong.

const page = document.documentElement;
const toast = document.getElementById("toast");

function tell(text, kind = "bad") {
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

const places = { o: "overview", s: "servers", t: "tools", f: "search", m: "map", r: "roles", k: "keys", e: "embedding", a: "audit" };
let waitingForPlace = 0;

function typing(target) {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && typing(event.target)) {
    event.target.blur();
    return;
  }
  if (typing(event.target) || document.querySelector("dialog[open]")) return;
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
    waitingForPlace = Date.now();
  } else if (Date.now() - waitingForPlace < 1500) {
    waitingForPlace = 0;
    const link = document.querySelector(`nav a[data-place="${places[event.key] ?? ""}"]`);
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
      tell("The browser did not allow copying; the text is selected, press Ctrl+C.", "warn");
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
  tell(plain ? xhr.responseText : `The gateway answered ${xhr.status}; load the page again.`);
});
document.addEventListener("htmx:sendError", () => tell("The gateway does not answer; check that it runs, then try again."));
document.addEventListener("htmx:timeout", () => tell("The gateway took too long to answer; try again."));

// --- live progress: a stream of replacements for elements, each found by its id

let stream = null;
let lost = null;

function replace(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  for (const element of [...holder.content.children]) {
    const there = element.id && document.getElementById(element.id);
    if (!there) continue;
    const focused = there.contains(document.activeElement) ? document.activeElement.id : "";
    there.replaceWith(element);
    window.htmx.process(element);
    if (focused) document.getElementById(focused)?.focus();
  }
}

function follow() {
  const live = document.querySelector("[data-live]");
  if (!live || stream) return;
  stream = new EventSource(live.dataset.live);
  stream.addEventListener("open", () => {
    lost?.remove();
    lost = null;
  });
  stream.addEventListener("part", (event) => replace(event.data));
  stream.addEventListener("end", () => {
    stream.close();
    stream = null;
  });
  stream.addEventListener("error", () => {
    lost ??= tell("The connection to the gateway was lost; what you see may be out of date. Trying again…", "warn");
    if (stream.readyState !== EventSource.CLOSED) return;
    // The gateway refused: it restarts, or the session has ended, which a load of the page will tell.
    stream = null;
    setTimeout(async () => {
      const answer = await fetch(location.href, { method: "HEAD", redirect: "manual" }).catch(() => null);
      if (answer && answer.type !== "opaqueredirect" && answer.ok) follow();
      else if (answer) location.reload();
      else setTimeout(follow, 2000);
    }, 1000);
  });
}
document.addEventListener("htmx:afterSettle", follow);
addEventListener("pagehide", () => stream?.close());
follow();

if (document.querySelector("canvas[data-map]")) import(document.querySelector("canvas[data-map]").dataset.script);
