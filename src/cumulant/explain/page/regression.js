// The regression of one target on all other columns: coefficients with errors, and the figures of the whole fit.
function startRegression() {
  const place = body("regression");
  const all = report.regressions;
  if (!all.length) {
    byId("regression").hidden = true;
    return;
  }
  const state = { which: Math.max(0, all.findIndex((r) => r.target === report.target)), by: "order" };
  const result = h("div");
  const show = () => result.replaceChildren(...regressionOf(all[state.which], state.by));
  place.append(
    h("p", { class: "intro" }, "Read off the precision matrix: the coefficient of column j is ", h("span", { class: "formula" }, "β", h("sub", {}, "j"), ` = ${MINUS}K`, h("sub", {}, "yj"), " / K", h("sub", {}, "yy")),
      ". It equals ordinary least squares", report.prior.mass > 0 ? ", drawn to zero by the prior." : "."),
    h("div", { class: "tools" },
      choice("regression-target", "Target", all.map((r) => r.target), state.which, (i) => { state.which = i; show(); }),
      segments("Order", ["As in the table", "By strength"], 0, (i) => { state.by = i ? "strength" : "order"; show(); })),
    result);
  if (report.shown.targets < report.shown.of_columns) {
    place.append(h("p", { class: "note" }, `Regressions and scores are given for ${plural(report.shown.targets, "target")} of ${count(report.shown.of_columns)}; model.summary(name) gives any other.`));
  }
  show();
}

function regressionOf(regression, by) {
  const rows = regression.terms.map(([term, coefficient, se, t, p, low, high], i) => ({ term, coefficient, se, t, p, low, high, i }));
  if (by === "strength") rows.sort((a, b) => Math.abs(b.t ?? 0) - Math.abs(a.t ?? 0) || a.i - b.i);
  const reach = Math.max(...rows.map((r) => Math.abs(r.t ?? 0)), 1);
  const sides = 100 * (1 - regression.level) / 2;
  const head = ["Term", "Coefficient", "Std. error", "t", "", "p", `${figures(sides, 2)} %`, `${figures(100 - sides, 3)} %`].map((name, i) =>
    h("th", { scope: "col", class: i && i !== 4 ? "number" : null }, name));
  const lines = rows.map((r) => h("tr", { class: r.se === null ? "dropped" : null },
    h("th", { scope: "row", class: "name", title: r.term }, r.term === "const" ? h("i", {}, "constant") : r.term),
    [r.coefficient, r.se].map((v) => h("td", { class: "number" }, r.se === null && v !== r.coefficient ? "–" : figures(v, 4))),
    h("td", { class: "number" }, r.t === null ? "dropped" : figures(r.t, 3)),
    h("td", { class: "t-bar" }, tBar(r.t, reach)),
    h("td", { class: "number" }, pValue(r.p)),
    [r.low, r.high].map((v) => h("td", { class: "number" }, figures(v, 4)))));
  const fact = (name, value) => (value === null || value === undefined ? null : h("div", {}, h("dt", {}, name), h("dd", {}, value)));
  const value = (v, digits) => (v === null ? null : figures(v, digits));
  return [
    h("dl", { class: "facts" },
      fact("R²", value(regression.r_squared, 4)), fact("adjusted R²", value(regression.adj_r_squared, 4)),
      fact("Residual s.d.", value(regression.residual_sd, 4)), fact("Rows", value(regression.n, 6)),
      fact("Residual d.f.", value(regression.df_resid, 6)),
      fact("F", regression.f_statistic === null ? null : `${figures(regression.f_statistic, 4)} (p ${pValue(regression.f_pvalue, true)})`),
      fact("Log-likelihood", value(regression.log_likelihood, 6)), fact("AIC", value(regression.aic, 6)), fact("BIC", value(regression.bic, 6)),
      fact("Condition number", value(regression.condition_number, 3))),
    table(`Regression of ${regression.target}`, head, lines, { class: "terms" }),
    regression.notes.length ? h("ul", { class: "plain note" }, regression.notes.map((note) => h("li", {}, note))) : "",
  ];
}

const pValue = (p, inline = false) => (p === null ? "–" : p < 1e-4 ? "< 0.0001" : `${inline ? "= " : ""}${figures(p, 2)}`);

// |t| by its square root, so that both 3 and 300 can be seen; the mark is at 2, where chance begins to be ruled out.
function tBar(t, reach) {
  if (t === null) return null;
  const part = (v) => 100 * Math.sqrt(Math.abs(v) / reach);
  return h("span", { class: "t-track", "aria-hidden": "true" },
    h("span", { class: t < 0 ? "down" : "up", style: `width:${Math.min(100, part(t))}%` }),
    reach > 2 ? h("span", { class: "t-mark", style: `left:${part(2)}%` }) : null);
}
