import { formatted } from "./format.js";

const SHOWN = new Set(["delivered", "read"]);
const TICKS = {
  sending: { path: "M12 6v6l4 2M12 21a9 9 0 1 1 0-18 9 9 0 0 1 0 18z", label: "enviando" },
  sent: { path: "M5 13l4.5 4.5L19 8", label: "enviada" },
  failed: { path: "M12 7v6M12 16.5v.5M12 21a9 9 0 1 1 0-18 9 9 0 0 1 0 18z", label: "não entregue" },
};

const clock = new Intl.DateTimeFormat("pt-BR", { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat("pt-BR", { day: "numeric", month: "long", year: "numeric" });

export function element(name, className, ...children) {
  const node = document.createElement(name);
  node.className = className;
  node.append(...children);
  return node;
}

function icon(tick) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", tick.path);
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.append(path);
  return svg;
}

function dayOf(at) {
  const day = new Date(at * 1000).toDateString();
  const now = new Date();
  if (day === now.toDateString()) return "Hoje";
  now.setDate(now.getDate() - 1);
  return day === now.toDateString() ? "Ontem" : calendar.format(at * 1000);
}

// Returns the state of a contact's message from the webhook's answer.
function stateOf(message) {
  if (!message.webhook) return "sending";
  return message.webhook.ok ? "sent" : "failed";
}

function reasonOf(webhook) {
  if (webhook.status) return `o webhook respondeu HTTP ${webhook.status}`;
  if (webhook.error_code === 11205) return "não houve conexão com o webhook";
  return webhook.error_code ? "o webhook não respondeu" : "o simulador não respondeu";
}

function contentOf(message) {
  const nodes = [];
  if (message.body) nodes.push(element("div", "text", formatted(message.body)));
  for (const url of message.media_urls ?? []) nodes.push(element("div", "text extra", "Anexo: ", formatted(url)));
  if (message.content_sid) {
    const variables = message.content_variables ? `\n${JSON.stringify(message.content_variables)}` : "";
    nodes.push(element("div", "text extra", `Modelo ${message.content_sid}${variables}`));
  }
  return nodes;
}

function footOf(message, state) {
  const foot = element("div", "foot");
  const time = element("time", "", clock.format(message.accepted_at * 1000));
  time.dateTime = new Date(message.accepted_at * 1000).toISOString();
  foot.append(time);
  if (state) {
    foot.append(icon(TICKS[state]), element("span", "sr-only", TICKS[state].label));
  }
  return foot;
}

function build(message, retry) {
  const mine = message.direction === "inbound";
  const state = mine ? stateOf(message) : "";
  const bubble = element("div", "bubble", ...contentOf(message), footOf(message, state));
  const item = element("li", `item ${mine ? "mine" : "theirs"} ${state}`, bubble);
  item.dataset.sid = message.sid;
  item.dataset.index = message.index;
  item.dataset.day = dayOf(message.accepted_at);
  if (state === "failed") {
    const button = element("button", "retry", "Tentar de novo");
    button.type = "button";
    button.addEventListener("click", () => retry(message));
    item.append(element("div", "failure", element("span", "", `Não entregue: ${reasonOf(message.webhook)}. `), button));
  }
  return item;
}

export class Bubbles {
  constructor(list, retry, onShown) {
    this.list = list;
    this.retry = retry;
    this.messages = new Map();
    this.items = new Map();
    this.observer = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) onShown(entry.target.dataset.sid, entry.isIntersecting);
      },
      { threshold: 0.5 },
    );
  }

  clear() {
    this.observer.disconnect();
    this.messages.clear();
    this.items.clear();
    this.list.replaceChildren();
  }

  // Returns whether a message is new on the screen.
  put(message) {
    this.messages.set(message.sid, message);
    if (message.direction !== "inbound" && !SHOWN.has(message.status)) return false;
    const item = build(message, this.retry);
    const old = this.items.get(message.sid);
    this.items.set(message.sid, item);
    if (old) {
      this.observer.unobserve(old);
      if (old.dataset.index === item.dataset.index) old.replaceWith(item);
      else old.remove();
    }
    if (!item.isConnected) this.insert(item);
    if (message.status === "delivered") this.observer.observe(item);
    this.separate();
    return !old;
  }

  insert(item) {
    const after = [...this.items.values()].filter(
      (other) => other.isConnected && Number(other.dataset.index) > Number(item.dataset.index),
    );
    const next = after.reduce(
      (least, other) => (!least || Number(other.dataset.index) < Number(least.dataset.index) ? other : least),
      null,
    );
    this.list.insertBefore(item, next);
  }

  separate() {
    for (const separator of this.list.querySelectorAll(".day")) separator.remove();
    let previous = null;
    for (const item of [...this.list.children]) {
      const newDay = item.dataset.day !== previous?.dataset.day;
      if (newDay) item.before(element("li", "day", item.dataset.day));
      item.classList.toggle("first", newDay || item.classList.contains("mine") !== previous.classList.contains("mine"));
      previous = item;
    }
  }
}
