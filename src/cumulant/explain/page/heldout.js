// Scores on rows the model did not see: fold by fold from the moments; residuals and calibration from rows.
function startHeldOut() {
  const place = body("held-out");
  const all = report.held_out.filter((entry) => entry.folds || entry.rows);
  if (!all.length) {
    place.append(h("p", { class: "note" }, "There are no folds to hold out: the model was kept without its moments, or has too few rows. Fit it with folds=10 to see them."));
    return;
  }
  const state = { which: Math.max(0, all.findIndex((entry) => entry.target === report.target)) };
  const result = h("div");
  const show = () => result.replaceChildren(...heldOutOf(all[state.which]));
  place.append(
    h("p", { class: "intro" }, "Moments add, so those of all folds but one are a training set, and the fold left out is a test set: cross-validation without a second look at the rows."),
    h("div", { class: "tools" }, choice("held-out-target", "Target", all.map((entry) => entry.target), state.which, (i) => { state.which = i; show(); })),
    result, everyTarget(all));
  show();
}

function heldOutOf(entry) {
  const parts = [];
  if (entry.folds) parts.push(plotted(`R² on each of ${entry.folds.length} folds`, (width) => foldFigure(width, entry), foldWords(entry)));
  const rows = entry.rows;
  if (rows?.kind === "number") {
    parts.push(plotted("Residuals", (width) => residualFigure(width, rows.residuals), "Residual in units of its predicted spread, against the prediction. A band of even width about zero is what the model assumes."));
    parts.push(plotted("Calibration", (width) => lineFigure(width, rows.coverage, "said", "held"), coverageWords(rows)));
    parts.push(plotted("Where values fell", (width) => pitFigure(width, rows.pit), "Place of each value in its predictive distribution. Level bars: calibrated. A peak in the middle: too cautious; at the ends: too sure."));
  } else if (rows?.kind === "category") {
    parts.push(plotted("Calibration", (width) => lineFigure(width, rows.reliability.map((b) => [b.predicted, b.observed]), "predicted", "came true"), categoryWords(rows)));
  }
  const judged = rows ? (rows.each ? "Each row is judged by what all the others say of it, which a field has in closed form." : rows.held_out ? "Each row is judged by the model of the folds it is not in." : "The rows judged were not recognised as those the model was fitted to; if they were, these figures flatter it.")
    : "Residuals and calibration need rows: model.report(path, data=table).";
  return [h("div", { class: "panels" }, parts), h("p", { class: "note" }, judged)];
}

function plotted(title, draw, words) {
  const place = h("div", { class: "plot" });
  drawn(place, (width) => place.replaceChildren(draw(width)));
  return h("figure", { class: "card" }, h("h3", {}, title), place, h("figcaption", {}, words));
}

const foldWords = ({ overall }) =>
  `All folds together: R² ${figures(overall.r2, 3)}, root mean square error ${figures(overall.rmse, 4)}, log-likelihood of a row ${figures(overall.log_likelihood, 4)} nats.`;
const coverageWords = ({ coverage, rows }) => {
  const told = [0.5, 0.8, 0.95].map((level) => coverage.find(([said]) => said === level)).filter(Boolean);
  const words = told.map(([said, held]) => `${percent(held)} fell within the ${percent(said)} interval`);
  return `Of ${plural(rows, "row")}, ${words.join(", ")}. On the diagonal an interval holds as often as it says.`;
};
const categoryWords = (rows) =>
  `Right in ${percent(rows.accuracy)} of ${plural(rows.rows, "row")} (always the most frequent level: ${percent(rows.most_frequent)}). Log loss ${figures(rows.log_loss, 3)}, against ${figures(rows.entropy, 3)} nats knowing only the shares.`;

function foldFigure(width, { folds, overall, target }) {
  const height = 230;
  const known = folds.filter((fold) => fold.r2 !== null);
  const values = known.map((fold) => fold.r2);
  if (overall.r2 !== null) values.push(overall.r2);
  const low = Math.min(...values, 1);
  const [from, to] = [low < 0 ? Math.max(low, -1) : Math.floor(low * 10 - 0.5) / 10, 1];
  const y = scaled(Math.max(from, low < 0 ? -1 : 0), to, height - 26, 12);
  const x = scaled(0, folds.length - 1 || 1, 54, width - 22);
  return figure(width, height, `R² of ${target} by fold`,
    ticks(Math.max(from, low < 0 ? -1 : 0), to, 5).map((v) => [
      s("line", { class: "grid", x1: 38, x2: width - 6, y1: y(v), y2: y(v) }),
      s("text", { class: "axis", x: 32, y: y(v) + 4, "text-anchor": "end" }, short(v, 3))]),
    overall.r2 === null ? [] : s("line", { class: "mean", x1: 38, x2: width - 6, y1: y(overall.r2), y2: y(overall.r2) }),
    folds.map((fold, i) => [
      fold.r2 === null ? [] : s("circle", { class: "dot", cx: x(i), cy: y(Math.max(fold.r2, -1)), r: 4.5 }, s("title", {}, `fold ${fold.fold}: R² ${figures(fold.r2, 4)}, ${plural(fold.rows, "row")}`)),
      folds.length <= 20 ? s("text", { class: "axis", x: x(i), y: height - 8, "text-anchor": "middle" }, fold.fold) : []]));
}

function residualFigure(width, { x: [left, right], y: [bottom, top], counts }) {
  const height = 230;
  const pad = { left: 34, right: 8, top: 8, bottom: 26 };
  const x = scaled(left, right, pad.left, width - pad.right);
  const y = scaled(bottom, top, height - pad.bottom, pad.top);
  const most = Math.max(...counts.flat());
  const [w, t] = [(right - left) / counts[0].length, (top - bottom) / counts.length];
  const cells = counts.flatMap((row, i) => row.map((n, j) => n === 0 ? null : s("rect", {
    class: "density", x: x(left + j * w), y: y(bottom + (i + 1) * t), width: x(left + w) - x(left), height: y(bottom) - y(bottom + t),
    opacity: (0.12 + 0.88 * (Math.log1p(n) / Math.log1p(most))).toFixed(2) })));
  return figure(width, height, "Counts of rows over prediction and standardised residual", cells.filter(Boolean),
    s("line", { class: "baseline", x1: pad.left, x2: width - pad.right, y1: y(0), y2: y(0) }),
    [-4, -2, 0, 2, 4].map((v) => s("text", { class: "axis", x: pad.left - 6, y: y(v) + 4, "text-anchor": "end" }, figures(v, 1))),
    ticks(left, right, width / 80).map((v) => s("text", { class: "axis", x: x(v), y: height - 8, "text-anchor": anchor(x(v) - 12, width) }, short(v, 4))));
}

// Pairs of shares against the diagonal they should lie on.
function lineFigure(width, points, across, up) {
  const height = 260;
  const size = Math.min(width - 46, height - 38);
  const left = Math.max(40, (width - size) / 2);
  const x = scaled(0, 1, left, left + size);
  const y = scaled(0, 1, height - 28, height - 28 - size);
  const line = points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" L");
  return figure(width, height, `Share ${up} against share ${across}`,
    s("rect", { class: "frame", x: left, y: y(1), width: size, height: size }),
    s("text", { class: "axis", x: x(1) + 8, y: y(0) - 6 }, width > 420 ? `${across} →` : ""),
    s("text", { class: "axis", x: x(0) + 8, y: y(1) + 16 }, `↑ ${up}`),
    s("line", { class: "before", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }),
    s("path", { class: "curve", d: `M${line}` }),
    points.map(([a, b]) => s("circle", { class: "dot", cx: x(a), cy: y(b), r: 3.5 }, s("title", {}, `${across} ${percent(a)}, ${up} ${percent(b)}`))),
    [0, 0.5, 1].map((v) => [
      s("text", { class: "axis", x: x(v), y: height - 12, "text-anchor": "middle" }, `${100 * v} %`),
      s("text", { class: "axis", x: left - 6, y: y(v) + 4, "text-anchor": "end" }, `${100 * v} %`)]));
}

function pitFigure(width, bins) {
  const height = 260;
  const even = bins.reduce((a, b) => a + b, 0) / bins.length;
  const y = scaled(0, Math.max(...bins, even * 1.5), height - 26, 10);
  const step = (width - 16) / bins.length;
  return figure(width, height, "Histogram of the place of each value in its predictive distribution",
    bins.map((n, i) => s("rect", { class: "bin", x: 8 + i * step + 0.75, y: y(n), width: step - 1.5, height: y(0) - y(n) }, s("title", {}, plural(n, "row")))),
    s("line", { class: "mean", x1: 8, x2: width - 8, y1: y(even), y2: y(even) }),
    [["low end", 8, "start"], ["middle", width / 2, "middle"], ["high end", width - 8, "end"]].map(([word, at, where]) =>
      s("text", { class: "axis", x: at, y: height - 8, "text-anchor": where }, word)));
}

// How well each column follows from all others, best first.
function everyTarget(all) {
  const scored = all.filter((entry) => entry.overall?.r2 != null).sort((a, b) => b.overall.r2 - a.overall.r2).slice(0, 40);
  if (scored.length < 2) return null;
  return h("div", { class: "card every" }, h("h3", {}, "Every column from all others: R², held out"),
    h("ul", { class: "levels" }, scored.map(({ target, overall }) => h("li", {},
      h("span", { class: "level-name", title: target }, target),
      h("span", { class: "level-track" }, h("span", { class: "level-bar", style: `width:${100 * Math.max(0, overall.r2)}%` })),
      h("span", { class: "level-share" }, overall.r2.toFixed(3).replace("-", MINUS))))));
}
