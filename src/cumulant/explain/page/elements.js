// Elements are made here and nowhere from text, so that no name in a table can become markup.
const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const byId = (id) => document.getElementById(id);
const body = (section) => document.querySelector(`#${section} .body`);

// A labelled choice among names; calls back with the index chosen.
function choice(id, label, names, selected, onchange) {
  const options = names.map((name, i) => h("option", { value: i, selected: i === selected }, name));
  const select = h("select", { id, onchange: () => onchange(Number(select.value)) }, options);
  return h("div", { class: "choice" }, h("label", { for: id }, label), select);
}

// Two or three words of which one is pressed.
function segments(label, words, selected, onchange) {
  const buttons = words.map((word, i) =>
    h("button", { type: "button", "aria-pressed": String(i === selected), onclick: () => press(i) }, word));
  const press = (i) => {
    buttons.forEach((button, j) => button.setAttribute("aria-pressed", String(i === j)));
    onchange(i);
  };
  return h("div", { class: "segments", role: "group", "aria-label": label }, buttons);
}

const table = (caption, head, rows, attributes = {}) =>
  h("div", { class: rows.length > 40 ? "scroll tall" : "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", attributes,
      h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, head)),
      h("tbody", {}, rows)));

// Draw as wide as the place is, and again when that changes.
function drawn(place, draw) {
  let width = 0;
  new ResizeObserver(() => {
    const now = Math.floor(place.clientWidth);
    if (now > 0 && now !== width) draw((width = now));
  }).observe(place);
}

// A canvas takes its colours when it is drawn; these are drawn again when the colours change.
const recoloured = [];
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// A figure of SVG that says in words what it shows.
const figure = (width, height, words, ...children) =>
  s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": words }, children);

// Round numbers across an axis.
function ticks(low, high, most) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(span / most));
  const step = [1, 2, 5, 10].map((k) => k * power).find((k) => span / k <= most);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

const scaled = (low, high, from, to) => (value) => from + ((value - low) / (high - low || 1)) * (to - from);
