// What was measured: the figures at the top, the columns, the prior, and what was done on the way.
const KINDS = { numeric: "number", boolean: "true/false", categorical: "category", temporal: "date or time", cyclic: "date with cycles" };

function startHead() {
  const target = report.target;
  const lead = target ? `${target} and ${plural(report.columns.length > 1 ? report.shown.of_columns - 1 : 0, "other column")}` : plural(report.shown.of_columns, "column");
  byId("lead").replaceChildren(
    `${lead}, measured in one pass over ${plural(report.rows, "row")} and solved for their free energy `,
    h("span", { class: "formula" }, "F = ½ (φ − μ)", h("sup", {}, "T"), " K (φ − μ)"), report.beyond ? " to second order" : "",
    ". Nothing was minimised, and any column follows from any others.");
  const score = report.held_out.find((entry) => entry.target === target);
  const accuracy = score?.rows?.accuracy;
  const missing = report.columns.map((c) => c.missing).filter((share) => share !== null);
  const figure = (name, value, unit = "") => h("div", {}, h("dt", {}, name), h("dd", {}, value, unit ? h("small", {}, ` ${unit}`) : null));
  byId("figures").append(...[
    figure("Rows", count(report.rows)),
    figure("Columns", count(report.shown.of_columns), plural(report.shown.of_fields, "field")),
    missing.length ? figure("Cells missing", percent(missing.reduce((a, b) => a + b, 0) / missing.length)) : null,
    score?.overall?.r2 != null ? figure(`R² of ${target}, held out`, figures(score.overall.r2, 3)) : null,
    accuracy != null && score.rows.held_out ? figure(`${target} right, held out`, percent(accuracy)) : null,
    report.effort?.cpu_seconds != null ? figure("Fitted in", withPrefix(report.effort.cpu_seconds, "s"), "of CPU time") : null,
  ].filter(Boolean));
}

function startMeasured() {
  const rows = report.columns.map((column) => h("tr", {},
    h("th", { scope: "row", class: "name", title: column.name }, column.name),
    h("td", { class: "kind" }, KINDS[column.kind] ?? column.kind, column.kind === "categorical" ? h("small", {}, ` ${plural(column.levels.length, "level")}`) : null),
    h("td", { class: "number" }, missingBar(column.missing)),
    column.levels
      ? h("td", { class: "number", colspan: "2", title: levelsOf(column) }, mostFrequent(column))
      : [h("td", { class: "number" }, column.mean === null ? "–" : cell(column, column.mean, column.sd)),
        h("td", { class: "number" }, column.sd === null ? "–" : spreadOf(column))],
    h("td", { class: "closest" }, closest(column.name))));
  const head = ["Column", "Kind", "Missing", "Mean", "Std. dev.", "Closest to"].map((name, i) =>
    h("th", { scope: "col", class: i > 1 && i < 5 ? "number" : null }, name));
  const cut = report.shown.of_columns - report.columns.length;
  const place = body("measured");
  place.append(
    table("The columns that were measured", head, rows, { class: "columns" }),
    cut > 0 ? h("p", { class: "note" }, `${plural(cut, "further column")} are not listed.`) : "",
    h("div", { class: "two" }, priorPart(), notesPart()));
}

const spreadOf = (column) => (column.shape === "number" ? near(column.sd, column.sd) : `${near(column.sd, column.sd)} d`);

function missingBar(share) {
  if (share === null) return "–";
  if (share === 0) return h("span", { class: "none" }, "none");
  return [h("span", { class: "mini", "aria-hidden": "true" }, h("span", { style: `width:${100 * Math.min(1, share)}%` })), percent(share, 2)];
}

const byFrequency = (column) => [...column.levels].sort((a, b) => b[1] - a[1]);
const levelsOf = (column) => byFrequency(column).slice(0, 20).map(([name, share]) => `${name} ${percent(share, 2)}`).join("\n");

function mostFrequent(column) {
  const [name, share] = byFrequency(column)[0] ?? ["", 0];
  return [h("span", { class: "level-name" }, name), ` ${percent(share, 2)}`];
}

// The column that tells most of this one, others integrated out.
function closest(name) {
  const i = placeOfColumn.get(name);
  if (i === undefined || linked < 2) return "–";
  const others = couplings.columns.map((_, j) => j).filter((j) => j !== i);
  const best = others.reduce((a, b) => (link(name, couplings.columns[b]) > link(name, couplings.columns[a]) ? b : a));
  const value = couplings.total[i * linked + best];
  if (Math.abs(value) < 0.005) return "–";
  return [couplings.columns[best], h("small", {}, ` ${figures(value, 2)}`)];
}

function priorPart() {
  const { mass, reason, grid, curve } = report.prior;
  const sentence = reason.charAt(0).toUpperCase() + reason.slice(1);
  const words = mass > 0
    ? `A prior mass of ${short(mass, 3)} draws every coupling toward zero. ${sentence}.`
    : `Couplings are taken as measured, without a prior. ${sentence}.`;
  const part = h("div", { class: "card" }, h("h3", {}, "Prior"), h("p", {}, words));
  if (!curve.length) return part;
  const place = h("div", { class: "plot" });
  part.append(place);
  const what = report.prior.kind === "folds" ? "held-out log-likelihood of a row" : "evidence, ln Z";
  drawn(place, (width) => place.replaceChildren(evidenceFigure(width, 170, grid, curve, mass, what)));
  return part;
}

function evidenceFigure(width, height, grid, curve, mass, what) {
  const logs = grid.map(Math.log10);
  const top = Math.max(...curve);
  // The far tails would press the part that decides into the upper edge.
  const sorted = [...curve].sort((a, b) => a - b);
  const bottom = Math.max(sorted[0], top - 3 * Math.max(top - sorted[Math.floor(sorted.length / 2)], 1e-9));
  const x = scaled(logs[0], logs.at(-1), 10, width - 10);
  const y = scaled(bottom, top, height - 28, 22);
  const path = curve.flatMap((v, i) => (v < bottom ? [] : [`${x(logs[i]).toFixed(1)},${y(v).toFixed(1)}`])).join(" L");
  const at = x(Math.log10(mass));
  return figure(width, height, `${what} against prior mass, highest at ${figures(mass, 3)}`,
    s("line", { class: "baseline", x1: 10, x2: width - 10, y1: height - 28, y2: height - 28 }),
    s("line", { class: "mean", x1: at, x2: at, y1: 22, y2: height - 28 }),
    s("path", { class: "curve", d: `M${path}` }),
    s("circle", { class: "dot", cx: at, cy: y(top), r: 4 }),
    s("text", { class: "axis", x: 10, y: 12 }, `${what}, by prior mass`),
    ticks(logs[0], logs.at(-1), width / 70).map((v) =>
      s("text", { class: "axis", x: Math.min(width - 18, Math.max(18, x(v))), y: height - 10, "text-anchor": "middle" }, `10${superscript(v)}`)));
}

function notesPart() {
  if (!report.notes.length) return null;
  const listed = report.notes.map((note) => h("li", {}, note.charAt(0).toUpperCase() + note.slice(1)));
  return h("div", { class: "card" }, h("h3", {}, "Notes"), h("ul", { class: "plain" }, listed));
}
