// The live predictor: a target, what is known of the other columns, and the answer.
const COLUMNS_AT_FIRST = 16;

// One prediction from values by column place, as plain data: the page's own interface, and the tests'.
function predict(target, known, level) {
  const x = model.unknown();
  known.forEach((value, place) => { if (place !== target) lift(columns[place], value, x); });
  const column = columns[target];
  if (column.levels) return { x, probabilities: model.category(column.at, x), frequencies: model.frequencies(column.at) };
  const now = model.number(column.at, x);
  const [low, high] = model.interval(now, level);
  return { x, ...now, low, high };
}

function startPredictor() {
  if (!columns.length) return;
  const state = { target: Math.max(0, columns.findIndex((c) => c.name === report.target)), level: 0.9, all: false, filter: "" };
  const controls = columns.map((column, place) => makeControl(column, place, update));
  const list = h("div", { class: "controls" });
  const more = h("button", { type: "button", class: "quiet", onclick: () => { state.all = !state.all; arrange(); } });
  const search = h("input", {
    type: "search", placeholder: "Find a column", "aria-label": "Find a column",
    oninput: () => { state.filter = search.value.toLowerCase(); arrange(); },
  });
  const clearAll = h("button", {
    type: "button", class: "quiet", id: "clear-all",
    onclick: () => { controls.forEach((control) => control.set(null)); update(); },
  }, "Clear all");
  const known = h("p", { class: "known-count" });
  const answer = h("div", { class: "answer", id: "prediction" });
  const reasons = h("div", { class: "reasons" });
  const spoken = h("p", { class: "unseen", role: "status" });
  const levelValue = h("output", { for: "level" });
  const level = h("input", {
    id: "level", type: "range", min: 50, max: 99, step: 1, value: 90,
    oninput: () => { state.level = Number(level.value) / 100; update(); },
  });
  const levelRow = h("div", { class: "level-row" }, h("label", { for: "level" }, "Interval holds"), level, levelValue);
  const plot = h("div", { class: "plot" });
  const target = choice("target", "Predict", columns.map((c) => c.name), state.target, (i) => { state.target = i; arrange(); update(); });
  const code = h("code");

  byId("predictor").append(
    h("div", { class: "predictor" },
      h("div", { class: "knowns card" },
        h("div", { class: "knowns-head" }, h("h3", {}, "What is known"), known, clearAll),
        columns.length > COLUMNS_AT_FIRST ? search : null, list, more),
      h("div", { class: "side" },
        h("div", { class: "answer-card" }, target, answer, plot, levelRow),
        h("div", { class: "why card" }, reasons, spoken,
          h("details", { class: "code" }, h("summary", {}, "The same in Python"), h("pre", { tabindex: "0" }, code))))));
  if (report.beyond) {
    byId("predictor").append(h("p", { class: "note apart" },
      `F goes beyond second order here: ${report.beyond}. The page predicts to second order, with straight lines and one spread; model.predict follows all of it.`));
  }
  if (report.shown.columns < report.shown.of_columns) {
    byId("predictor").append(h("p", { class: "note apart" },
      `The page carries the ${plural(report.shown.columns, "column")} most connected${report.target ? ` to ${report.target}` : ""} of ${count(report.shown.of_columns)}; the others stay unknown here.`));
  }

  // The columns that tell most about the target come first.
  function arrange() {
    const name = columns[state.target].name;
    const order = controls.filter((c) => c.place !== state.target)
      .sort((a, b) => link(b.column.name, name) - link(a.column.name, name) || a.place - b.place)
      .filter((c) => c.column.name.toLowerCase().includes(state.filter));
    const shown = order.filter((c, i) => state.all || i < COLUMNS_AT_FIRST || c.value !== null);
    list.replaceChildren(...shown.map((c) => c.root));
    more.hidden = order.length <= COLUMNS_AT_FIRST;
    more.textContent = state.all ? "Show the most telling only" : `Show all ${count(order.length)} columns`;
  }

  function update() {
    const given = new Map(controls.filter((c) => c.value !== null).map((c) => [c.place, c.value]));
    const now = predict(state.target, given, state.level);
    given.delete(state.target);
    known.textContent = given.size ? `${given.size} of ${columns.length - 1}` : "nothing yet";
    clearAll.hidden = !given.size;
    const column = columns[state.target];
    if (column.levels) showLevels(column, now);
    else showNumber(column, now, given);
    showExpectations(now.x);
    code.textContent = python(column, given);
    speak();
  }

  function showNumber(column, now, given) {
    const before = model.number(column.at, model.unknown());
    // Digits by the width of the interval, so that sliders move something that can be seen.
    const spread = now.scale || before.scale;
    const text = (v) => cell(column, v, spread);
    Object.assign(answer.dataset, { mean: now.mean, low: now.low, high: now.high, scale: now.scale, nu: now.nu });
    delete answer.dataset.probabilities;
    answer.replaceChildren(
      h("p", { class: "value" }, text(now.mean)),
      h("p", { class: "between" }, `${Math.round(100 * state.level)} % between `, h("b", {}, text(now.low)), " and ", h("b", {}, text(now.high))));
    levelRow.hidden = false;
    levelValue.textContent = `${Math.round(100 * state.level)} %`;
    const width = Math.max(200, plot.clientWidth);
    plot.replaceChildren(densityFigure(width, width < 420 ? 108 : 170, column, now, before, state.level));
    reasons.replaceChildren(...because(column, now, before, given, spread));
  }

  function because(column, now, before, given, spread) {
    const rest = `Mean of all rows: ${cell(column, before.mean, before.scale)}.`;
    if (!given.size) return [h("h3", {}, "Nothing is known yet"), h("p", { class: "note" }, `${rest} Set a column on the list and the answer moves.`)];
    const columnOfField = new Map(columns.flatMap((c) => c.at.map((field) => [field, c.name])));
    const byColumn = new Map();
    for (const { field, by } of now.moves) byColumn.set(columnOfField.get(field), (byColumn.get(columnOfField.get(field)) ?? 0) + by);
    const moves = [...byColumn].map(([name, by]) => ({ name, by })).sort((a, b) => Math.abs(b.by) - Math.abs(a.by));
    const unit = isMoment(column) || column.shape === "duration" ? " in days" : "";
    return [
      h("h3", {}, `What moved it${unit}`), movesFigure(moves, spread),
      h("p", { class: "note" }, `${rest} What is known explains ${percent(now.explained)} of the variance. Dashed: the answer when nothing is known.`)];
  }

  function showLevels(column, now) {
    const best = now.probabilities.indexOf(Math.max(...now.probabilities));
    answer.dataset.probabilities = JSON.stringify(now.probabilities);
    for (const name of ["mean", "low", "high", "scale", "nu"]) delete answer.dataset[name];
    answer.replaceChildren(
      h("p", { class: "value word" }, column.levels[best]),
      h("p", { class: "between" }, "most probable, with ", h("b", {}, percent(now.probabilities[best]))));
    levelRow.hidden = true;
    plot.replaceChildren(levelBars(column, now.probabilities, now.frequencies, plot.clientWidth < 420 ? 5 : 8));
    reasons.replaceChildren(h("p", { class: "note" }, "Bars: probability of each level given what is known. Ticks: its share of all rows."));
  }

  function showExpectations(x) {
    const expected = model.compensated ? null : model.expectations(x);
    for (const control of controls) {
      const field = control.column.at[0];
      control.expect(expected && field !== undefined ? { mean: expected.mean[field], sd: expected.sd[field] } : null);
    }
  }

  let silence = null;
  function speak() {
    clearTimeout(silence);
    silence = setTimeout(() => { spoken.textContent = `${columns[state.target].name}: ${answer.textContent}`; }, 600);
  }

  function python(column, given) {
    const literal = (place, value) => {
      const c = columns[place];
      if (c.shape === "boolean") return value ? "True" : "False";
      if (c.levels) return JSON.stringify(c.levels[value]);
      if (c.shape === "time") return `datetime.time.fromisoformat(${JSON.stringify(moment(value, c.shape))})`;
      if (c.shape === "duration") return `datetime.timedelta(days=${value})`;
      return isMoment(c) ? JSON.stringify(moment(value, c.shape).replace("T", " ")) : String(value);
    };
    const cells = [...given].map(([place, value]) => `    ${JSON.stringify(columns[place].name)}: [${literal(place, value)}],`);
    const what = column.levels ? 'output="density"' : `output="interval", level=${state.level}`;
    const inside = cells.length ? `{\n${cells.join("\n")}\n}` : "None";
    return `model.predict(${JSON.stringify(column.name)}, given=${inside}, ${what})`;
  }

  arrange();
  drawn(plot, update);
}
