// Converts message text to DOM nodes: text nodes and a fixed set of elements. So no text can become markup.

const EDGE = "\\p{L}\\p{N}";
const wrapped = (mark) =>
  new RegExp(`(?<![${EDGE}${mark}])[${mark}](?=\\S)([^${mark}\\n]*?\\S)[${mark}](?![${EDGE}${mark}])`, "u");

const RULES = [
  { pattern: /```([\s\S]+?)```/, element: "code", nested: false },
  { pattern: /`([^`\n]+)`/, element: "code", nested: false },
  { pattern: /(https?:\/\/[^\s<>"'`]*[^\s<>"'`.,;:!?*_~)\]])/i, element: "a", nested: false },
  { pattern: wrapped("*"), element: "strong", nested: true },
  { pattern: wrapped("_"), element: "em", nested: true },
  { pattern: wrapped("~"), element: "s", nested: true },
];

function first(text) {
  let best = null;
  for (const rule of RULES) {
    const match = rule.pattern.exec(text);
    if (match && (best === null || match.index < best.match.index)) best = { rule, match };
  }
  return best;
}

function append(parent, text) {
  let rest = text;
  for (let found = first(rest); found; found = first(rest)) {
    const { rule, match } = found;
    parent.append(rest.slice(0, match.index));
    const element = document.createElement(rule.element);
    if (rule.nested) append(element, match[1]);
    else element.append(match[1]);
    if (rule.element === "a") {
      element.href = match[1];
      element.target = "_blank";
      element.rel = "noopener noreferrer";
    }
    parent.append(element);
    rest = rest.slice(match.index + match[0].length);
  }
  parent.append(rest);
}

export function formatted(text) {
  const fragment = document.createDocumentFragment();
  append(fragment, text);
  return fragment;
}
