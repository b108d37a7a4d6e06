// Makes the pages live. Everything here is an addition: without it one reads and writes by plain forms.
// What is inserted as HTML was drawn and escaped by the server, with the templates of the page itself.

const body = document.body;
const place = body.dataset.place;
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const store = {
  get(key) { try { return localStorage.getItem(key); } catch { return null; } },
  set(key, value) { try { value ? localStorage.setItem(key, value) : localStorage.removeItem(key); } catch { /* private window */ } },
};

/* --- times, in the reader's own zone */

const sameDay = (a, b) => a.toDateString() === b.toDateString();
function localTimes(root = document) {
  const now = new Date();
  for (const node of $$("time[datetime]", root)) {
    if (node.classList.contains("ago")) continue;
    const at = new Date(node.dateTime);
    const hour = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const day = at.toLocaleDateString([], { month: "short", day: "numeric" });
    node.textContent = sameDay(at, now) ? hour : node.classList.contains("when") ? day : `${day} ${hour}`;
    node.title = at.toLocaleString();
  }
}

/* --- code blocks */

function copyButtons(root = document) {
  for (const block of $$(".code", root)) {
    if ($(".copy", block) || block.closest(".growing")) continue;
    const button = Object.assign(document.createElement("button"), { type: "button", className: "copy", textContent: "Copy" });
    button.addEventListener("click", async () => {
      await navigator.clipboard?.writeText($("code", block).textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    block.append(button);
  }
}

function toast(text, bad = false) {
  const node = Object.assign(document.createElement("div"), { className: `toast${bad ? " bad" : ""}`, textContent: text });
  $(".toasts").append(node);
  setTimeout(() => node.remove(), bad ? 9000 : 6000);
}

/* --- the conversation */

const scroll = $("#scroll");
const timeline = $("#timeline");
let last = Number(body.dataset.last || 0);
let pinned = true;

if (scroll) {
  scroll.addEventListener("scroll", () => { pinned = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80; }, { passive: true });
  const grown = new ResizeObserver(() => toEnd());
  for (const node of $$("#scroll, #timeline, #waiting, #live")) grown.observe(node);
  if (location.hash.startsWith("#m")) pinned = false;
  toEnd();
}
function toEnd(force = false) { if (scroll && (pinned || force)) scroll.scrollTop = scroll.scrollHeight; }

function fragment(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

function addMessage(data) {
  if (data.n <= last && document.getElementById(`m${data.n}`)) return;
  last = Math.max(last, data.n);
  if (body.dataset.paged !== undefined) return;
  const node = fragment(data.html).firstElementChild;
  const above = timeline.lastElementChild;
  if (above?.classList.contains("empty")) above.remove();
  const near = above?.dataset.author === node.dataset.author && above.classList.contains("control") === node.classList.contains("control");
  const minutes = above && $("time", above) && (new Date($("time", node).dateTime) - new Date($("time", above).dateTime)) / 60000;
  node.classList.toggle("follows", Boolean(near && minutes < 5));
  node.classList.add("fresh");
  localTimes(node);
  copyButtons(node);
  if (data.side === "out" && data.session === $("#live .now")?.dataset.session) clearSaid();
  $$(".message.mine", $("#waiting")).filter((draft) => data.id.endsWith(draft.dataset.id)).forEach((draft) => draft.remove());
  timeline.append(node);
  toEnd(data.side === "in");
  seen(place, data.n);
}

// What stands there already says something else now, such as a question that was answered.
function editMessage(data) {
  const old = document.getElementById(`m${data.n}`);
  if (!old) return;
  const node = fragment(data.html).firstElementChild;
  node.classList.toggle("follows", old.classList.contains("follows"));
  localTimes(node);
  copyButtons(node);
  old.replaceWith(node);
  toEnd();
}

// The bubble's text became a message: take it away at once, so that nothing shows twice.
let pictures = 0;
let over = false; // the turn has ended; what the bubble still shows is about to come as a message
function clearSaid() { if (over) $("#live").replaceChildren(); else $("#live .growing")?.remove(); }

function showLive(data) {
  const live = $("#live");
  const picture = ++pictures;
  over = !data.html;
  if (!over) { live.replaceChildren(fragment(data.html)); return; }
  $(".typing", live)?.remove();
  if (!$(".growing", live)) { live.replaceChildren(); return; }
  setTimeout(() => { if (picture === pictures) live.replaceChildren(); }, 1500);
}
const turning = () => ["running", "stopping"].includes($("[data-status] .dot")?.classList[1]);

/* --- threads: unread marks and the list */

const seenKey = "seen";
const seenAll = JSON.parse(store.get(seenKey) || "{}");
function seen(key, n) {
  if (!key || document.hidden) return;
  seenAll[key] = Math.max(seenAll[key] || 0, n);
  const keys = Object.keys(seenAll);
  if (keys.length > 500) delete seenAll[keys[0]];
  store.set(seenKey, JSON.stringify(seenAll));
}
function markUnread(row) {
  const key = row.dataset.place;
  const n = Number(row.dataset.n);
  if (key === place) { seen(key, n); row.classList.add("current"); row.setAttribute("aria-current", "page"); return; }
  if (seenAll[key] === undefined && !store.get("visited")) seen(key, n);
  row.classList.toggle("unread", n > (seenAll[key] || 0));
}
function title() {
  const count = $$(".row.unread", $("#threads")).length;
  document.title = document.title.replace(/^\(\d+\) /, "");
  if (count) document.title = `(${count}) ${document.title}`;
}
function showPlace(data) {
  const list = $("#threads");
  const channel = data.place.split(":")[0];
  let section = $$("section", list).find((node) => node.dataset.channel === channel);
  if (!section) {
    section = fragment('<section><h2><span class="light up"></span><span></span></h2><div class="rows"></div></section>').firstElementChild;
    section.dataset.channel = channel;
    $("h2 span:last-child", section).textContent = channel;
    list.append(section);
  }
  const row = fragment(data.html).firstElementChild;
  const rows = $(".rows", section);
  $$(".row", rows).find((node) => node.dataset.place === data.place)?.remove();
  $(".nothing", rows)?.remove();
  rows.prepend(row);
  localTimes(row);
  markUnread(row);
  title();
}
function showSession(data) {
  for (const node of $$("[data-session]")) {
    if (node.dataset.session !== data.id || node.closest("#timeline, #live")) continue;
    const dot = node === body ? $("[data-status] .dot") : $(".dot", node);
    if (!dot) continue;
    dot.className = `dot ${data.state}${data.ended ? ` ${data.ended}` : ""}`;
    dot.title = data.ended || data.state;
    const doing = $(".doing", node);
    if (doing && !node.matches(".row")) doing.textContent = data.ended || data.doing || data.state;
  }
  if (data.id === body.dataset.session) hint();
}

/* --- the numbers beside the pages' names */

let badgeTimer = 0;
function refreshBadges() {
  badgeTimer ||= setTimeout(async () => {
    badgeTimer = 0;
    const counts = await fetch("/api/v1/overview").then((answer) => answer.json()).catch(() => null);
    if (!counts) return;
    badge("sessions", counts.running);
    badge("deliveries", counts.dead_letters, true);
  }, 800);
}
function badge(page, count, bad = false) {
  const link = $(`.pages [data-page="${page}"]`);
  $(".badge", link)?.remove();
  if (count) link.append(Object.assign(document.createElement("span"), { className: `badge${bad ? " bad" : ""}`, textContent: count }));
}

/* --- the session's facts */

let factsTimer = 0;
function refreshFacts() {
  if (!place || factsTimer) return;
  factsTimer = setTimeout(async () => {
    factsTimer = 0;
    const target = $("#facts-body");
    if (!target || target.contains(document.activeElement) && document.activeElement.matches("textarea")) return;
    const answer = await fetch(`${location.pathname}/facts`, { headers: { accept: "text/html" } }).catch(() => null);
    if (!answer?.ok) return;
    const open = $$("details[open]", target).map((node) => node.dataset.key);
    target.replaceChildren(fragment(await answer.text()));
    $$("details", target).forEach((node) => { if (open.includes(node.dataset.key)) node.open = true; });
    const section = $(".facts-body", target);
    if (section) {
      body.dataset.session = section.dataset.session;
      const status = $("[data-status]");
      status.replaceChildren($(".fact-head .dot", section).cloneNode(), " ", Object.assign(document.createElement("span"), { textContent: $("h2", section).textContent }));
    }
    localTimes(target);
    hint();
  }, 350);
}

/* --- the stream: one, that comes back by itself and misses nothing */

const connection = $(".connection");
let source = null;
let wait = 500;
function connect() {
  const query = new URLSearchParams({ view: "page", after: String(last) });
  if (place) query.set("thread", place);
  source = new EventSource(`/api/v1/events?${query}`);
  const on = (kind, act) => source.addEventListener(kind, (event) => act(JSON.parse(event.data)));
  source.onopen = () => { wait = 500; connection.textContent = ""; connection.classList.remove("off"); };
  source.onerror = () => {
    source.close();
    connection.textContent = "Offline, trying again";
    connection.classList.add("off");
    setTimeout(connect, wait);
    wait = Math.min(wait * 2, 15000);
  };
  if (timeline) {
    on("message", addMessage);
    on("edited", editMessage);
    on("live", showLive);
    on("waiting", (data) => {
      const mine = $$("#waiting .mine");
      $("#waiting").replaceChildren(fragment(data.html), ...mine);
      localTimes($("#waiting"));
    });
  }
  on("place", showPlace);
  on("session", showSession);
  on("facts", () => { refreshFacts(); refreshBadges(); });
  on("overview", refreshBadges);
  on("reload", () => location.reload());
}

/* --- writing */

const composer = $("[data-composer]");
const text = composer && $("textarea", composer);
const palette = composer && $(".palette", composer);
const commands = JSON.parse($("#commands")?.textContent || "[]");
const draftKey = `draft:${place || "new"}`;

if (composer) {
  text.value ||= store.get(draftKey) || "";
  text.addEventListener("input", () => { store.set(draftKey, text.value); showPalette(); });
  text.addEventListener("keydown", composerKey);
  composer.addEventListener("submit", send);
  fit();
}
function fit() { if (!CSS.supports("field-sizing", "content")) { text.style.height = "auto"; text.style.height = `${Math.min(text.scrollHeight + 2, innerHeight * 0.4)}px`; } }

function composerKey(event) {
  if (!palette.hidden && ["ArrowDown", "ArrowUp", "Tab"].includes(event.key)) {
    event.preventDefault();
    if (event.key === "Tab") complete(); else choose(event.key === "ArrowDown" ? 1 : -1);
    return;
  }
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    if (!palette.hidden && !commands.some((command) => text.value.trim() === `/${command.name}`)) complete();
    else if (text.value.trim() || composer.uploads?.count) composer.requestSubmit();
  }
  if (event.key === "Escape" && !palette.hidden) { palette.hidden = true; event.stopPropagation(); }
}

async function send(event) {
  store.set(draftKey, "");
  if (!place) return; // a new thread: the form leads to its page
  event.preventDefault();
  const value = text.value;
  const id = crypto.randomUUID ? crypto.randomUUID() : `${Date.now()}-${Math.random()}`;
  text.value = "";
  fit();
  showPalette();
  pinned = true;
  const own = body.dataset.channel === "web";
  const files = composer.uploads?.take() ?? [];
  const draft = own ? addDraft([value, ...files.map((file) => file.name)].filter(Boolean).join("\n"), id) : null;
  const answer = own ? await post(`/api/v1/threads/${encodeURIComponent(place)}/messages`, { text: value, id, files }) : await form(composer.action, { text: value, id });
  if (answer.ok) {
    if (!own) follow(await answer.json());
    return;
  }
  draft?.remove();
  if (!text.value) { text.value = value; store.set(draftKey, value); }
  composer.uploads?.restore(files);
  toast(answer.detail, true);
}

function addDraft(value, id) {
  const node = fragment('<article class="message in unsaid mine"><span class="avatar" aria-hidden="true">·</span><header><strong>You</strong> <span class="chip">sending</span></header><div class="body"><p></p></div></article>').firstElementChild;
  node.dataset.id = id;
  $("p", node).textContent = value;
  $("p", node).style.whiteSpace = "pre-wrap";
  $("#waiting").append(node);
  toEnd(true);
  return node;
}

async function ask(url, options) {
  try {
    const answer = await fetch(url, { method: "POST", ...options });
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({}));
    return { ok: false, detail: problem.detail || `The server answered ${answer.status}.` };
  } catch {
    return { ok: false, detail: "Threadmill cannot be reached. Your text is kept here: send it again in a moment." };
  }
}
const post = (url, data) => ask(url, { headers: { "content-type": "application/json" }, body: JSON.stringify(data) });
const form = (url, data) => ask(url, { headers: { accept: "application/json" }, body: new URLSearchParams(data) });

// A command given beside another thread is answered at the desk: show its answer here.
async function follow({ place: where }) {
  if (!where || where === place) return;
  const url = `/api/v1/threads/${encodeURIComponent(where)}/messages`;
  const now = await fetch(`${url}?limit=1`).then((answer) => answer.json()).catch(() => null);
  const newest = now?.messages?.at(-1);
  if (newest?.side === "out") { toast(newest.text); return; }
  const next = await fetch(`${url}?after=${now?.next || 0}&wait=10`).then((answer) => answer.json()).catch(() => null);
  const said = next?.messages?.find((message) => message.side === "out");
  if (said) toast(said.text);
}

function command(name, session = body.dataset.session) {
  if (session) return form("/command", { command: name, session, place: place || "" }).then(async (answer) => (answer.ok ? follow(await answer.json()) : toast(answer.detail, true)));
}

document.addEventListener("submit", async (event) => {
  const target = event.target;
  if (!target.matches(".act form")) return;
  event.preventDefault();
  target.closest("details").open = false;
  if (target.closest(".menu")) target.closest(".menu").open = false;
  const answer = await form(target.action, Object.fromEntries(new FormData(target)));
  if (!answer.ok) { toast(answer.detail, true); return; }
  $("textarea", target) && ($("textarea", target).value = "");
  follow(await answer.json());
});

// A button under a message: pressed without leaving the page. What came of it is drawn when it is known.
document.addEventListener("submit", async (event) => {
  const target = event.target;
  if (!target.matches(".choices") || !event.submitter) return;
  event.preventDefault();
  const buttons = $$("button:enabled", target);
  const data = { ...Object.fromEntries(new FormData(target)), button: event.submitter.value };
  buttons.forEach((button) => { button.disabled = true; });
  const answer = await form(target.action, data);
  if (answer.ok) return;
  buttons.forEach((button) => { button.disabled = false; });
  toast(answer.detail, true);
});

/* --- the palette of commands */

let chosen = 0;
function showPalette() {
  fit();
  const typed = /^\/(\S*)$/.exec(text.value);
  const found = typed ? commands.filter((command) => command.name.startsWith(typed[1].toLowerCase())) : [];
  palette.hidden = !found.length;
  chosen = 0;
  palette.replaceChildren(...found.map((command, index) => {
    const item = document.createElement("li");
    item.id = `command-${command.name}`;
    item.role = "option";
    item.append(
      Object.assign(document.createElement("b"), { textContent: `/${command.name}` }),
      Object.assign(document.createElement("i"), { textContent: command.takes.map((name) => `[${name}]`).join(" ") }),
      Object.assign(document.createElement("span"), { textContent: command.about }),
    );
    item.addEventListener("mousedown", (event) => { event.preventDefault(); chosen = index; complete(); });
    return item;
  }));
  choose(0);
}
function choose(step) {
  const items = $$("li", palette);
  if (!items.length) { text.removeAttribute("aria-activedescendant"); return; }
  chosen = (chosen + step + items.length) % items.length;
  items.forEach((item, index) => item.setAttribute("aria-selected", String(index === chosen)));
  items[chosen].scrollIntoView({ block: "nearest" });
  text.setAttribute("aria-activedescendant", items[chosen].id);
}
function complete() {
  const item = $$("li", palette)[chosen];
  if (!item) return;
  text.value = `${$("b", item).textContent} `;
  palette.hidden = true;
  store.set(draftKey, text.value);
  text.focus();
}

/* --- keys */

let escaped = 0;
function hint(strong = "") {
  const node = $("[data-hint]");
  if (!node) return;
  node.dataset.usual ||= node.innerHTML;
  if (strong) node.replaceChildren(Object.assign(document.createElement("span"), { className: "strong", textContent: strong }));
  else node.innerHTML = turning() ? "<kbd>Esc</kbd> <kbd>Esc</kbd> stops the turn; what you write joins it at the next step" : node.dataset.usual;
}
function step(direction) {
  const rows = $$(".row", $("#threads"));
  const at = rows.findIndex((row) => row.dataset.place === place);
  (rows[at + direction] ?? rows[direction > 0 ? 0 : rows.length - 1])?.click();
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    if (document.querySelector("dialog[open]")) return;
    if (["#rail", "#facts"].includes(location.hash)) { location.hash = "main"; return; }
    if (!turning()) { document.activeElement?.blur(); return; }
    if (Date.now() - escaped < 3000) { escaped = 0; hint("Stopping…"); command("stop"); return; }
    escaped = Date.now();
    hint("Esc once more stops the running turn");
    setTimeout(() => hint(), 3000);
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, [contenteditable]")) return;
  const act = {
    n: () => { location.href = "/#new"; text?.focus(); },
    j: () => step(1),
    k: () => step(-1),
    i: () => { location.hash = location.hash === "#facts" ? "main" : "facts"; },
    "/": () => { if (text) { text.focus(); text.value ||= "/"; showPalette(); } },
    "?": () => $("#keys").showModal(),
  }[event.key];
  if (act) { event.preventDefault(); act(); }
});
$("[data-keys]")?.addEventListener("click", () => $("#keys").showModal());
$("[data-theme-toggle]")?.addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  store.set("theme", root.dataset.theme);
});

/* --- begin */

localTimes();
copyButtons();
$$(".row", $("#threads")).forEach(markUnread);
store.set("visited", "1");
title();
hint();
document.addEventListener("visibilitychange", () => { if (!document.hidden) { seen(place, last); title(); } });
if (!body.classList.contains("bare")) connect();
