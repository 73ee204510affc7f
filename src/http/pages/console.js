// What makes the console quick; every page works without it. Text is only ever set as text.
const base = document.body.dataset.base;
const csrf = document.querySelector('meta[name="csrf"]').content;
const all = (what, within = document) => [...within.querySelectorAll(what)];
const said = document.getElementById("said");
const many = document.getElementById("many");
const list = document.querySelector("[data-rows]");

function make(tag, how = {}, ...inside) {
  const made = Object.assign(document.createElement(tag), how);
  made.append(...inside);
  return made;
}

// ---- The list: which row is current, and deciding on it at once.

const rows = () => all("li.item:not([hidden])");
const current = () => document.querySelector("li.item.current:not([hidden])");

function mark(row) {
  for (const other of all("li.item.current")) other.classList.remove("current");
  row?.classList.add("current");
}

function go(row) {
  mark(row);
  if (!row) return;
  row.querySelector(".title a").focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

function step(by) {
  const now = rows();
  const at = now.indexOf(current());
  go(now[Math.min(Math.max(at + by, 0), now.length - 1)]);
}

const idOf = (row) => row.dataset.item.split("@")[0];
let undoes = null;

async function send(item, what) {
  const form = new URLSearchParams({ item, key: many?.elements.key.value ?? "", ...what });
  const answer = await fetch(`${base}/items/${item.split("@")[0]}`, {
    method: "POST",
    body: form,
    headers: { "X-CSRF": csrf, Accept: "application/json" },
  });
  if (answer.headers.get("content-type") === "application/json") return answer.json();
  const why = answer.status === 401 ? "You are signed out; load the page again." : `Nothing was done (${answer.status}).`;
  return { done: false, said: why, happened: [] };
}

async function decide(row, what) {
  const after = rows()[rows().indexOf(row) + 1] ?? rows()[rows().indexOf(row) - 1];
  row.hidden = true;
  go(after);
  let came;
  try {
    came = await send(row.dataset.item, what);
  } catch {
    came = { done: false, said: "The desk does not answer; nothing is known to be done.", happened: [] };
  }
  if (came.item) row.dataset.item = came.item;
  if (came.done) {
    for (const box of all("input[type=checkbox]", row)) box.checked = false;
    tell(came.said, came.undo ? row : null);
    // They counted what was open when the page came.
    document.querySelector(".counts")?.remove();
    if (!rows().length) list?.after(make("p", { className: "card empty" }, make("a", { href: "" }, "All of this page is done. Look for more.")));
  } else {
    back(row, came);
  }
}

function back(row, came) {
  row.hidden = false;
  const box = row.querySelector("input[type=checkbox]");
  if (box) box.value = row.dataset.item;
  row.querySelector(".failed")?.remove();
  const lines = came.happened.map((it) => make("li", {}, `${it.at} ${it.what}`, ...it.changes.map((change) => make("p", { className: "quiet" }, change))));
  row.append(make("div", { className: "failed late", role: "alert" }, came.said, make("ul", {}, ...lines)));
  go(row);
}

function tell(text, row) {
  const parts = [make("p", {}, text)];
  undoes = row;
  if (row) {
    const button = make("button", { className: "small", type: "button" }, "Undo");
    button.addEventListener("click", undo);
    parts.push(button);
  }
  said?.replaceChildren(make("div", { className: "card said" }, ...parts));
}

async function undo() {
  const row = undoes;
  if (!row) return press("u");
  undoes = null;
  try {
    const came = await send(row.dataset.item, { verb: "reopen" });
    if (came.item) row.dataset.item = came.item;
    const box = row.querySelector("input[type=checkbox]");
    if (box) box.value = row.dataset.item;
    if (came.done) {
      document.querySelector(".empty")?.remove();
      row.hidden = false;
      go(row);
    }
    tell(came.said, came.done ? null : row);
  } catch {
    tell("The desk does not answer; try again.", row);
  }
}

// What a key does, to the chosen rows, the current row, or the story of the page.
function act(what) {
  const chosen = many && all("input[type=checkbox]:checked", many).length;
  if (chosen) {
    for (const [name, value] of Object.entries(what)) if (many.elements[name] && name !== "verb") many.elements[name].value = value;
    return many.requestSubmit(many.querySelector(`button[name="verb"][value="${what.verb}"]`));
  }
  const row = current();
  if (list && row) return what.verb === "claim" ? claim(row) : decide(row, what);
  const form = document.querySelector(`form[data-form="${what.verb}"]`);
  if (!form) return press(what.verb[0]);
  if (what.reason) all(`input[name="reason"]`, form).forEach((box) => (box.checked = box.value === what.reason));
  form.requestSubmit(form.querySelector(what.until ? `button[value="${what.until}"]` : "button"));
}

async function claim(row) {
  const came = await send(row.dataset.item, { verb: "claim" }).catch(() => ({ done: false, said: "The desk does not answer.", happened: [] }));
  if (!came.done) return back(row, came);
  tell(came.said, null);
  const marks = row.querySelector(".marks") ?? row.querySelector(".what .quiet").appendChild(make("span", { className: "marks" }));
  marks.append(" ", make("span", { className: "mark" }, "claimed by you"));
}

// Presses what the page shows for a key.
function press(key) {
  const found = document.querySelector(`[data-key="${key}"]`);
  if (!found) return false;
  found.matches("input") ? (found.focus(), found.select()) : found.click();
  return true;
}

// ---- Small choices, and help.

function choose(title, choices, chosen) {
  const close = () => dialog.close();
  const lines = choices.map(([words], n) => {
    const button = make("button", { className: "small", type: "button" }, make("kbd", {}, `${n + 1}`), ` ${words}`);
    button.addEventListener("click", () => (close(), chosen(choices[n][1])));
    return make("li", {}, button);
  });
  const dialog = make("dialog", { className: "card" }, make("h2", {}, title), make("ol", { className: "plain" }, ...lines));
  dialog.addEventListener("keydown", (event) => {
    const choice = choices[event.key - 1];
    if (!choice || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    close();
    chosen(choice[1]);
  });
  open(dialog);
}

function open(dialog) {
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}

function reasons() {
  const options = all('select[name="reason"] option').filter((it) => it.value).map((it) => [it.textContent.trim(), it.value]);
  const radios = all('input[type=radio][name="reason"]').map((it) => [it.parentElement.textContent.trim(), it.value]);
  return [...options, ...radios].slice(0, 9);
}

const KEYS = [
  ["j k", "next, previous"],
  ["o Enter", "open"],
  ["a", "approve"],
  ["r", "reject, then a digit for the reason"],
  ["h", "hold, then a digit for how long"],
  ["u", "undo"],
  ["c", "claim"],
  ["x", "choose, for many at once"],
  ["/", "search"],
  ["?", "these keys"],
  ["Esc", "close, or leave a field"],
];

function help() {
  const lines = KEYS.flatMap(([keys, words]) => [make("dt", {}, ...keys.split(" ").flatMap((key) => [make("kbd", {}, key), " "])), make("dd", {}, words)]);
  open(make("dialog", { className: "card" }, make("h2", {}, "Keys"), make("dl", { className: "keys" }, ...lines)));
}

const can = () => (many && all("input[type=checkbox]:checked", many).length) || (list && current()) || document.querySelector("form[data-form]");

const DOES = {
  j: () => (rows().length ? step(1) : press("j")),
  k: () => (rows().length ? step(-1) : press("k")),
  o: () => (current() ? current().querySelector(".title a").click() : press("l")),
  Enter: () => DOES.o(),
  a: () => act({ verb: "approve" }),
  r: () => can() && choose("Reject it: why?", reasons(), (reason) => act({ verb: "reject", reason })),
  h: () => can() && choose("Hold it for", [["a day", "1d"], ["three days", "3d"], ["a week", "1w"]], (until) => act({ verb: "hold", until })),
  u: undo,
  c: () => act({ verb: "claim" }),
  x: () => {
    const box = current()?.querySelector("input[type=checkbox]");
    if (box) box.checked = !box.checked;
  },
  "/": () => press("/"),
  "?": help,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (document.querySelector("dialog[open]")) return;
  const field = event.target.closest("input:not([type=checkbox]):not([type=radio]), select, textarea");
  if (event.key === "Escape") return field?.blur();
  if (field || (event.key.length === 1 && event.repeat && event.key !== "j" && event.key !== "k")) return;
  if (event.key === "Enter" && event.target !== document.body) return;
  const does = Object.hasOwn(DOES, event.key) && DOES[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});

document.addEventListener("focusin", (event) => {
  const row = event.target.closest("li.item");
  if (row) mark(row);
});

const hint = make("button", { type: "button", className: "keyhint", title: "Keys" }, make("kbd", {}, "?"));
hint.addEventListener("click", help);
document.body.append(hint);
if (list) mark(rows()[0]);

// A form that was sent is not sent twice by an impatient hand; the desk would do it once anyway.
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) return event.preventDefault();
  if (event.target.method === "post") event.target.dataset.sent = "yes";
});
addEventListener("pageshow", () => all("form[data-sent]").forEach((form) => delete form.dataset.sent));

// ---- A claim of hers lasts while she works on the story.

const renews = document.querySelector("[data-renews]");
if (renews) {
  let renewed = Date.now();
  const renew = () => {
    if (Date.now() - renewed < 180000) return;
    renewed = Date.now();
    send(renews.form.elements.item.value, { verb: "claim" }).catch(() => {});
  };
  for (const use of ["keydown", "pointerdown", "scroll"]) addEventListener(use, renew, { passive: true });
}

// ---- News of the queue: what others decided is marked, what is new is offered.

const bar = document.querySelector(".news");
if (bar) {
  const waits = new Set();
  const comes = new Set(["queued", "reopened", "revised", "routed", "handed_over", "back", "hold_over"]);
  const goes = new Set(["approved", "rejected", "held", "gone", "outside", "expired"]);
  let missed = false;
  const say = () => {
    bar.hidden = !waits.size && !missed;
    const words = missed ? "The queue has changed" : waits.size === 1 ? "1 story is new or changed" : `${waits.size} stories are new or changed`;
    bar.firstElementChild.textContent = `${words}: load the page again`;
  };
  const hear = ({ id, kind, version, here }) => {
    const row = all("li.item").find((it) => idOf(it) === String(id));
    const known = row && Number(row.dataset.item.split("@")[1]) >= version;
    if (!here || goes.has(kind)) {
      waits.delete(id);
      if (!row || row.hidden || (known && here)) return;
      row.classList.add("gone");
      row.querySelector(".failed")?.remove();
      row.append(make("div", { className: "failed quiet" }, here ? `${kind} elsewhere` : "went to another queue"));
    } else if (comes.has(kind) && !known) {
      waits.add(id);
    }
  };
  const heard = new EventSource(`${location.pathname}/live?since=${bar.dataset.since}`);
  heard.addEventListener("changed", (event) => {
    const news = JSON.parse(event.data);
    missed ||= Boolean(news.missed);
    (news.items ?? []).forEach(hear);
    say();
  });
  addEventListener("pagehide", () => heard.close());
}
