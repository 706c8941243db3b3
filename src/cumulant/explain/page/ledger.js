// What the fit cost, beside descent on the same rows.
const LEDGER_LINES = [
  ["passes", "Passes over the rows", (v) => count(v), true],
  ["flops", "Floating-point operations", (v) => withPrefix(v, ""), true],
  ["bytes", "Bytes moved", (v) => withPrefix(v, "B"), true],
  ["cpu_seconds", "CPU time", (v) => withPrefix(v, "s"), true],
  ["wall_seconds", "Wall-clock time", (v) => withPrefix(v, "s"), true],
  ["peak_memory", "Peak extra memory", (v) => withPrefix(v, "B"), true],
  ["joules", "Energy", (v) => withPrefix(v, "J"), true],
  ["excess_loss", "Loss above the optimum", (v) => percent(v, 2), false],
  ["rmse", "Root mean square error", (v) => figures(v, 4), false],
  ["log_likelihood", "Log-likelihood of a row", (v) => figures(v, 4), false],
  ["any_target", "Any other target", (v) => v, false],
  ["intervals", "Intervals", (v) => v, false],
  ["merge", "Merge with other rows", (v) => v, false],
  ["forget", "Forget rows", (v) => v, false],
];

function withPrefix(value, unit) {
  const steps = [[1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"]];
  const [size, prefix] = steps.find(([limit]) => Math.abs(value) >= limit) ?? [1, ""];
  return `${figures(value / size, 3)} ${prefix}${unit}`.trim();
}

function startLedger() {
  const ledger = report.ledger;
  if (!ledger) {
    byId("ledger").hidden = true;
    return;
  }
  const methods = ledger.methods;
  const known = (value) => value !== null && value !== undefined;
  const lines = LEDGER_LINES.filter(([key]) => methods.some((method) => known(method[key])));
  const head = [h("td", {}), ...methods.map((method) => h("th", { scope: "col", class: "number" }, method.method))];
  const rows = lines.map(([key, name, text, isCost]) => {
    const values = methods.map((method) => method[key]);
    const numbers = values.filter((v) => typeof v === "number");
    const least = isCost && numbers.length > 1 ? Math.min(...numbers) : null;
    return h("tr", {}, h("th", { scope: "row" }, name),
      values.map((v) => h("td", { class: v === least && least !== null ? "number least" : "number" }, known(v) ? text(v) : "–")));
  });
  const extent = ledger.held_out
    ? `${plural(ledger.parameters, "input")}; errors are of ${plural(ledger.held_out, "row")} that were held out`
    : `${plural(ledger.parameters, "parameter")} and an intercept`;
  body("ledger").append(
    h("p", { class: "intro" }, `For ${ledger.target}: ${plural(ledger.rows, "row")}, ${extent}.`),
    table("What the fit cost", head, rows, { class: "ledger" }),
    h("ul", { class: "plain note" }, ledger.notes.map((note) => h("li", {}, note))));
}
