import { Bubbles, element } from "./bubbles.js";

const $ = (id) => document.getElementById(id);
// Sorts messages that the simulator has not confirmed to the end of the conversation.
const UNSENT = Number.MAX_SAFE_INTEGER;
const HUES = [172, 14, 262, 205, 330, 95];
const query = new URLSearchParams(location.search);
const state = { numbers: [], number: null, contact: "", stream: null, unread: new Set(), atEnd: true };

const bubbles = new Bubbles(
  $("bubbles"),
  (message) => deliver(message),
  (sid, visible) => {
    if (visible) state.unread.add(sid);
    else state.unread.delete(sid);
    markRead();
  },
);

async function call(path, data) {
  const response = await fetch(
    path,
    data && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(data) },
  );
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error ?? `HTTP ${response.status}`);
  return answer;
}

/* The contact that writes */

function randomDigits(count) {
  return [...crypto.getRandomValues(new Uint8Array(count))].map((byte) => byte % 10).join("");
}

function asAddress(text) {
  const plain = text.trim().replace(/^whatsapp:/, "");
  if (/^[A-Z]{2}\./.test(plain)) return `whatsapp:${plain}`;
  return `whatsapp:+${plain.replace(/\D/g, "")}`;
}

function readable(address) {
  const plain = address.replace(/^whatsapp:/, "");
  return plain.replace(/^\+55(\d{2})(\d{4,5})(\d{4})$/, "+55 $1 $2-$3");
}

function setContact(address) {
  state.contact = address;
  localStorage.setItem("phone.contact", address);
  $("address").textContent = readable(address);
}

function newContact() {
  query.delete("from");
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  $("profile").value = "";
  localStorage.removeItem("phone.profile");
  setContact(`whatsapp:+55119${randomDigits(8)}`);
  connect();
  closePanel();
  $("text").focus();
}

/* The number that receives */

function paintAvatar(node, number) {
  const words = number.name
    .replace(/[^\p{L}\p{N} ]/gu, "")
    .split(" ")
    .filter((word) => word.length > 2);
  node.textContent =
    words
      .slice(0, 2)
      .map((word) => word[0].toUpperCase())
      .join("") || "?";
  const place = state.numbers.findIndex((other) => other.address === number.address);
  node.style.setProperty("--hue", HUES[place % HUES.length]);
}

function paintNumbers() {
  const items = state.numbers.map((number) => {
    const avatar = element("span", "avatar");
    avatar.setAttribute("aria-hidden", "true");
    paintAvatar(avatar, number);
    const label = element(
      "span",
      "",
      element("strong", "", number.name),
      element("small", "", readable(number.address)),
    );
    const button = element("button", "number", avatar, label);
    button.type = "button";
    button.setAttribute("aria-pressed", String(number.address === state.number?.address));
    button.addEventListener("click", () => choose(number));
    return element("li", "", button);
  });
  $("numbers").replaceChildren(...items);
  if (!items.length) $("numbers").append(element("li", "note", "Ainda não há nenhum número cadastrado."));
}

function choose(number) {
  state.number = number;
  localStorage.setItem("phone.number", number.address);
  $("title").textContent = number.name;
  $("subtitle").textContent = readable(number.address);
  paintAvatar($("avatar"), number);
  paintNumbers();
  connect();
  closePanel();
  if (matchMedia("(hover: hover)").matches) $("text").focus();
}

async function loadNumbers() {
  const known = JSON.stringify(state.numbers);
  try {
    state.numbers = (await call("/control/numbers")).numbers;
  } catch {
    return;
  }
  if (JSON.stringify(state.numbers) !== known) paintNumbers();
  const current = state.numbers.find((number) => number.address === state.number?.address);
  if (current) {
    state.number = current;
    return;
  }
  const wanted = query.has("to") ? asAddress(query.get("to")) : localStorage.getItem("phone.number");
  const chosen = state.numbers.find((number) => number.address === wanted) ?? state.numbers[0];
  if (chosen) choose(chosen);
  else paintEmpty();
}

/* The conversation */

function paintEmpty() {
  const number = state.number;
  $("empty").hidden = bubbles.items.size > 0;
  $("empty-title").textContent = number ? `Diga olá para ${number.name}` : "Nenhum número";
  $("empty-text").textContent = number
    ? "As mensagens desta conversa aparecem aqui."
    : "Assim que um número for cadastrado, ele aparece aqui.";
  const chips = (number?.suggestions ?? []).map((text) => {
    const chip = element("button", "chip", text);
    chip.type = "button";
    chip.addEventListener("click", () => write(text));
    return chip;
  });
  $("chips").replaceChildren(...chips);
  $("send").disabled = !number || !$("text").value.trim();
}

function show(message) {
  const appeared = bubbles.put(message);
  if (!appeared) return;
  if (message.direction !== "inbound") $("announce").textContent = message.body;
  if (state.atEnd || message.direction === "inbound") toEnd();
  else $("newest").hidden = false;
}

function toEnd() {
  $("log").scrollTop = $("log").scrollHeight;
  $("newest").hidden = true;
}

function setLink(name, text) {
  $("link").dataset.state = name;
  $("link").textContent = text;
}

function connect() {
  state.stream?.close();
  state.unread.clear();
  bubbles.clear();
  paintEmpty();
  if (!state.number) return;
  const where = new URLSearchParams({ number: state.number.address, contact: state.contact });
  const stream = new EventSource(`/phone/events?${where}`);
  state.stream = stream;
  stream.addEventListener("snapshot", (event) => {
    setLink("open", "conectado");
    const messages = JSON.parse(event.data);
    const known = new Set(messages.map((message) => message.sid));
    const unsent = [...bubbles.messages.values()].filter(
      (message) => message.index === UNSENT && !known.has(message.sid),
    );
    bubbles.clear();
    [...messages, ...unsent].forEach((message) => bubbles.put(message));
    paintEmpty();
    toEnd();
  });
  stream.addEventListener("message", (event) => {
    show(JSON.parse(event.data));
    paintEmpty();
  });
  stream.onerror = () => {
    if (stream !== state.stream) return;
    setLink("lost", "reconectando");
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => stream === state.stream && connect(), 2000);
  };
}

async function deliver(message) {
  show({ ...message, webhook: null });
  const data = { from: message.from, to: message.to, body: message.body, message_sid: message.sid };
  if (message.profile_name) data.profile_name = message.profile_name;
  try {
    await call("/control/inbound", data);
  } catch {
    show({ ...message, webhook: { ok: false, status: null, error_code: null } });
  }
}

function write(body) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const sid = `SM${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  const profile = $("profile").value.trim();
  deliver({
    sid,
    index: UNSENT,
    direction: "inbound",
    from: state.contact,
    to: state.number.address,
    body,
    profile_name: profile,
    status: "received",
    accepted_at: Date.now() / 1000,
  });
  paintEmpty();
}

async function markRead() {
  if (document.visibilityState !== "visible" || !state.unread.size) return;
  const sids = [...state.unread];
  state.unread.clear();
  await call("/control/read", { sids }).catch(() => sids.forEach((sid) => state.unread.add(sid)));
}

/* The panel on small screens */

const narrow = matchMedia("(max-width: 820px)");

function setPanel(open) {
  document.body.classList.toggle("panel-open", open);
  $("panel").inert = narrow.matches && !open;
  $("backdrop").hidden = !open;
  $("open-panel").setAttribute("aria-expanded", String(open));
}

function closePanel() {
  if (!document.body.classList.contains("panel-open")) return;
  setPanel(false);
  $("open-panel").focus();
}

function fit() {
  const text = $("text");
  text.style.height = "auto";
  text.style.height = `${Math.min(text.scrollHeight + 2, 140)}px`;
  $("send").disabled = !state.number || !text.value.trim();
}

function wire() {
  $("open-panel").addEventListener("click", () => {
    setPanel(true);
    $("close-panel").focus();
  });
  $("close-panel").addEventListener("click", closePanel);
  $("backdrop").addEventListener("click", closePanel);
  narrow.addEventListener("change", () => setPanel(false));
  document.addEventListener("keydown", (event) => event.key === "Escape" && closePanel());
  document.addEventListener("visibilitychange", markRead);
  window.addEventListener("focus", loadNumbers);
  $("new-contact").addEventListener("click", newContact);
  $("newest").addEventListener("click", toEnd);
  $("profile").addEventListener("input", () => localStorage.setItem("phone.profile", $("profile").value));
  $("log").addEventListener("scroll", () => {
    const log = $("log");
    state.atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    if (state.atEnd) $("newest").hidden = true;
  });
  $("text").addEventListener("input", fit);
  $("text").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    $("composer").requestSubmit();
  });
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    const body = $("text").value.trim();
    if (!body || !state.number) return;
    $("text").value = "";
    fit();
    write(body);
    $("text").focus();
  });
}

wire();
setPanel(false);
$("profile").value = localStorage.getItem("phone.profile") ?? "";
setContact(
  query.has("from")
    ? asAddress(query.get("from"))
    : (localStorage.getItem("phone.contact") ?? `whatsapp:+55119${randomDigits(8)}`),
);
await loadNumbers();
setInterval(() => state.number || loadNumbers(), 3000);
