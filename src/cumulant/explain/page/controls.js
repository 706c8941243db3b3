// One control for each column: known with a value, or unknown. It reports to `onchange` and is told what to expect.
function makeControl(column, place, onchange) {
  const name = column.name;
  const id = `known-${place}`;
  let value = null;
  const clear = h("button", {
    type: "button", class: "clear", "aria-label": `Leave ${name} unknown`, title: "Leave unknown",
    onclick: () => { set(null); onchange(); },
  }, "×");
  const label = h("label", { for: id, title: name }, name);
  const input = column.levels ? levelInput() : valueInput();
  const slider = column.levels ? null : rangeInput();
  const root = h("div", { class: "control", "data-column": place }, label, slider, input, clear);

  function levelInput() {
    const options = column.levels.map((level, i) => h("option", { value: i }, level));
    return h("select", {
      id, onchange: () => { set(input.value === "" ? null : Number(input.value)); onchange(); },
    }, h("option", { value: "" }, "unknown"), options);
  }

  function valueInput() {
    const type = { date: "date", datetime: "datetime-local", time: "time" }[column.shape] ?? "number";
    return h("input", {
      id, type, step: type === "date" ? null : type === "number" ? "any" : "1", placeholder: "unknown",
      oninput: () => { set(read()); onchange(); },
    });
  }

  // Whole dates and milliseconds divide into days without error, as they do in Python.
  function read() {
    const number = input.valueAsNumber;
    if (!Number.isFinite(number)) return null;
    return isMoment(column) ? number / DAY : number;
  }

  function rangeInput() {
    const [low, high] = column.range;
    const rough = (high - low) / 240;
    const power = 10 ** Math.floor(Math.log10(rough));
    const whole = isMoment(column) && column.shape !== "time" ? 1 : 0;
    const step = Math.max(whole, [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough));
    const first = Math.floor(low / step + 1e-9);
    const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
    const at = (k) => Number(((first + k) * step).toPrecision(12));
    const range = h("input", {
      type: "range", "aria-label": name, min: 0, max: last - first, step: 1,
      oninput: () => { set(at(Number(range.value)), true); onchange(); },
    });
    range.places = { at, low: first * step, high: last * step, step, most: last - first };
    return range;
  }

  function set(next, fromSlider = false) {
    value = next;
    root.classList.toggle("known", value !== null);
    if (column.levels) input.value = value === null ? "" : String(value);
    else if (value === null) input.value = "";
    else if (document.activeElement !== input || fromSlider) input.value = isMoment(column) ? moment(value, column.shape) : String(value);
    if (slider && value !== null) show(value, 0);
  }

  // Put the thumb at a value and shade the track about it.
  function show(middle, spread) {
    const { low, high, step, most } = slider.places;
    const part = (v) => Math.min(1, Math.max(0, (v - low) / (high - low)));
    slider.value = Math.round(part(middle) * most);
    slider.style.setProperty("--from", part(middle - spread));
    slider.style.setProperty("--to", part(middle + spread));
    slider.setAttribute("aria-valuetext", value === null ? `unknown, expected ${cell(column, middle, spread || step)}` : cell(column, middle, step));
  }

  // What is to be expected of an unknown column; null when it is not computed.
  function expect(expected) {
    if (column.levels || value !== null) return;
    input.placeholder = expected ? `≈ ${cell(column, expected.mean, expected.sd)}` : "unknown";
    if (expected) show(expected.mean, 1.645 * expected.sd);
  }

  return { column, place, root, set, expect, get value() { return value; } };
}

// The fields of a known column.
function lift(column, value, x) {
  if (column.levels) {
    if (column.shape === "boolean") x[column.at[0]] = value;
    else column.at.forEach((field, i) => { x[field] = value === i + 1 ? 1 : 0; });
    return;
  }
  x[column.at[0]] = value;
  (column.cycles ?? []).forEach((period, i) => {
    const turns = value / period;
    const angle = 2 * Math.PI * (turns - Math.floor(turns));
    x[column.at[1 + 2 * i]] = Math.sin(angle);
    x[column.at[2 + 2 * i]] = Math.cos(angle);
  });
}
