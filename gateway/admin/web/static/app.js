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

const sections = { o: "overview", s: "servers", t: "tools", f: "search", m: "map", c: "calls", r: "roles", k: "keys", p: "approvals", e: "embedding", a: "audit" };
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
  } else if (event.key === "j" || event.key === "k") {
    const rows = [...document.querySelectorAll("[data-row]")];
    const place = rows.indexOf(document.activeElement);
    const next = place < 0 ? rows[0] : rows[place + (event.key === "j" ? 1 : -1)];
    next?.focus();
  } else if (Date.now() - prefixPressedAt < 1500) {
    prefixPressedAt = 0;
    const link = document.querySelector(`nav a[data-section="${sections[event.key] ?? ""}"]`);
    if (link) link.click();
  } else {
    // It leads to the button; pressing it is another key, so that nothing is done by mistake.
    document.querySelector(`button[data-key="${CSS.escape(event.key)}"]`)?.focus();
  }
});

// --- the palette: pages by their names here, everything else by asking the gateway

const palette = document.getElementById("palette");
const paletteQuery = document.getElementById("palette-query");
const paletteList = document.getElementById("palette-list");
let paletteAsked = 0;
let paletteTimer = 0;

function paletteItem(href, label, kind) {
  const item = document.createElement("li");
  item.setAttribute("role", "option");
  const link = document.createElement("a");
  link.href = href;
  link.tabIndex = -1;
  link.textContent = label;
  const note = document.createElement("span");
  note.className = "muted small";
  note.textContent = kind;
  link.append(note);
  item.append(link);
  return item;
}

function choosePaletteItem(position) {
  const items = [...paletteList.children];
  items.forEach((item, place) => {
    item.id = `palette-${place}`;
    item.setAttribute("aria-selected", String(place === position));
  });
  if (items[position]) {
    paletteQuery.setAttribute("aria-activedescendant", items[position].id);
    items[position].scrollIntoView({ block: "nearest" });
  }
}

function chosenPaletteItem() {
  return [...paletteList.children].findIndex((item) => item.getAttribute("aria-selected") === "true");
}

function showPalettePages() {
  const text = paletteQuery.value.trim().toLowerCase();
  const pages = [...document.querySelectorAll("nav a[href], .account a[href]")];
  const fitting = pages.filter((link) => link.textContent.toLowerCase().includes(text));
  paletteList.replaceChildren(...fitting.map((link) => paletteItem(link.href, link.textContent.trim(), "page")));
  choosePaletteItem(0);
}

async function askPalette() {
  const asked = (paletteAsked += 1);
  const query = paletteQuery.value.trim();
  if (!query) return;
  const answer = await fetch(`${palette.dataset.paletteUrl}?q=${encodeURIComponent(query)}`).catch(() => null);
  if (!answer?.ok || asked !== paletteAsked) return;
  const found = await answer.json();
  paletteList.append(...found.map((each) => paletteItem(each.url, each.label, each.kind)));
  if (chosenPaletteItem() < 0) choosePaletteItem(0);
}

function openPalette() {
  if (!palette || palette.open || document.querySelector("dialog[open]")) return;
  paletteQuery.value = "";
  showPalettePages();
  palette.showModal();
}

paletteQuery?.addEventListener("input", () => {
  showPalettePages();
  clearTimeout(paletteTimer);
  paletteTimer = setTimeout(askPalette, 150);
});
paletteQuery?.addEventListener("keydown", (event) => {
  const count = paletteList.children.length;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && count) {
    event.preventDefault();
    choosePaletteItem((chosenPaletteItem() + step + count) % count);
  } else if (event.key === "Enter") {
    event.preventDefault();
    paletteList.children[chosenPaletteItem()]?.querySelector("a")?.click();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
  event.preventDefault();
  openPalette();
});

// --- clicks

function setTheme(theme) {
  page.dataset.theme = theme;
  document.cookie = `modelgate_theme=${theme};path=/;max-age=31536000;samesite=strict`;
  document.dispatchEvent(new CustomEvent("themechange"));
}

document.addEventListener("click", async (event) => {
  const target = event.target instanceof Element ? event.target.closest("[data-open],[data-palette],[data-theme-toggle],[data-copy]") : null;
  if (!target) return;
  if (target.dataset.open) {
    document.getElementById(target.dataset.open)?.showModal();
  } else if ("palette" in target.dataset) {
    openPalette();
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

// --- rows that come in: those of a stream go before those that are there

const MAX_ROWS = 200;
let rowStream = null;
let rowSource = "";
let heldRows = null;

function showLive(word, kind = "") {
  const live = document.getElementById("live");
  if (!live) return;
  live.textContent = word;
  live.className = `tag state ${kind}`;
}

function addRows(html) {
  const body = document.querySelector("[data-rows]");
  if (!body) return;
  body.querySelector("[data-empty]")?.remove();
  body.insertAdjacentHTML("afterbegin", html);
  while (body.children.length > MAX_ROWS) body.lastElementChild.remove();
}

function followRows() {
  const source = document.querySelector("[data-rows]")?.dataset.rows ?? "";
  if (source === rowSource) return;
  rowStream?.close();
  rowSource = source;
  if (!source) {
    showLive("not live: older calls");
    return;
  }
  rowStream = new EventSource(source);
  rowStream.addEventListener("open", () => showLive(heldRows ? "paused" : "live", heldRows ? "warn" : "good"));
  rowStream.addEventListener("rows", (event) => (heldRows ? heldRows.push(event.data) : addRows(event.data)));
  rowStream.addEventListener("error", () => {
    showLive("connection lost, trying again", "bad");
    if (rowStream.readyState !== EventSource.CLOSED) return;
    rowSource = "";
    setTimeout(followRows, 3000);
  });
}
document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("[data-pause]") : null;
  if (!button) return;
  if (heldRows) for (const html of heldRows) addRows(html);
  heldRows = heldRows ? null : [];
  button.textContent = heldRows ? "Go on" : "Pause";
  button.setAttribute("aria-pressed", String(Boolean(heldRows)));
  showLive(heldRows ? "paused" : "live", heldRows ? "warn" : "good");
});
document.addEventListener("htmx:afterSettle", followRows);
addEventListener("pagehide", () => rowStream?.close());
followRows();

if (document.querySelector("canvas[data-map]")) import(document.querySelector("canvas[data-map]").dataset.script);
