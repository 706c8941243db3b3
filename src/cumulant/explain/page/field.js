// A field on function space: which columns matter, the main effect of each, and what the strongest pairs do together.
const MOST_SHARES = 30;

function startField() {
  const field = report.field;
  if (!field) {
    byId("field").hidden = true;
    return;
  }
  const place = body("field");
  place.append(
    h("p", { class: "intro" }, `${field.target} is a field of the other columns: every order of its Taylor series at once. Shares are of the variance of that field; effects are averages of it over all other columns, so their intervals are in closed form.`),
    sharesPart(field));
  if (field.combinations.length) place.append(combinationsPart(field));
  if (field.effects.length) {
    place.append(h("h3", { class: "apart" }, `Main effects on ${outcomeOf(field)}`), h("div", { class: "effects" }, effectsOf(field)));
  }
  if (field.surfaces.length) {
    place.append(h("h3", { class: "apart" }, "Pairs that act together"), h("div", { class: "effects wide" }, field.surfaces.map((surface) => surfacePart(field, surface))));
  }
}

const outcomeOf = (field) => (field.outputs.length > 1 ? `the probability of each ${field.target}` : field.target);

function sharesPart(field) {
  const shown = field.shares.slice(0, MOST_SHARES);
  const most = Math.max(...shown.map((row) => row.total), 1e-12);
  const compared = shown.some((row) => row.metric !== null);
  const head = ["Column", "Lost without it", "", compared ? "Part of the metric" : null].filter((name) => name !== null).map((name, i) =>
    h("th", { scope: "col", class: i === 1 || i === 3 ? "number" : null }, name));
  const rows = shown.map((row) => h("tr", {},
    h("th", { scope: "row", class: "name", title: row.column }, row.column),
    h("td", { class: "number" }, percent(row.total, 3)),
    h("td", { class: "t-bar" }, h("span", { class: "t-track", "aria-hidden": "true" }, h("span", { class: "share", style: `width:${(100 * row.total) / most}%` }))),
    compared ? h("td", { class: "number" }, percent(row.metric, 3)) : null));
  const cut = field.shares.length - shown.length;
  return h("div", {},
    table("Share of the field's variance by column", head, rows, { class: "terms" }),
    h("p", { class: "note" }, `Lost without it: the share of the variance that a column has, alone and together with others; the shares sum to more than one where columns act together.${compared ? " Part of the metric: how fast the field varies along the column; a slow, steep slope has little of it." : ""}${cut > 0 ? ` ${plural(cut, "further column")} are not listed.` : ""}`));
}

function combinationsPart(field) {
  const words = field.combinations.map(({ share, weights }) =>
    h("li", {}, `${percent(share)}: `, weights.map(([name, weight], i) => `${i || weight < 0 ? (weight < 0 ? ` ${MINUS} ` : " + ") : ""}${figures(Math.abs(weight), 2)} ${name}`).join("")));
  return h("div", { class: "apart" }, h("h3", {}, "Combinations that the metric sees"), h("ul", { class: "plain" }, words));
}

// One scale for all effects, so that those which matter look it.
function effectsOf(field) {
  const all = field.effects.flatMap((effect) => [...effect.effect.flat(), ...(effect.low ?? []), ...(effect.high ?? [])]);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const room = 0.05 * (high - low || 1);
  return field.effects.map((effect) => {
    const place = h("div", { class: "plot" });
    drawn(place, (width) => place.replaceChildren(effectFigure(width, field, effect, low - room, high + room)));
    return h("figure", { class: "card" }, h("h3", {}, effect.column), place);
  });
}

function effectFigure(width, field, effect, low, high) {
  const height = 190;
  const y = scaled(low, high, height - 24, 8);
  const frame = [
    ticks(low, high, 4).map((v) => [
      s("line", { class: "grid", x1: 46, x2: width - 6, y1: y(v), y2: y(v) }),
      s("text", { class: "axis", x: 40, y: y(v) + 4, "text-anchor": "end" }, short(v, 3))]),
    s("line", { class: "baseline", x1: 46, x2: width - 6, y1: y(0), y2: y(0) })];
  const words = `${outcomeOf(field)} by ${effect.column}, all other columns averaged over`;
  return figure(width, height, words, frame, effect.levels ? levelMarks(width, height, field, effect, y) : effectLines(width, height, field, effect, y));
}

function effectLines(width, height, field, { shape, values, effect, low, high }, y) {
  const x = scaled(values[0], values.at(-1), 52, width - 12);
  const path = (line) => line.map((v, i) => `${x(values[i]).toFixed(1)},${y(v).toFixed(1)}`).join(" L");
  return [
    low ? s("path", { class: "inside", d: `M${path(high)} L${path(low).split(" L").reverse().join(" L")} Z` }) : null,
    effect.map((line, k) => s("path", { class: effect.length > 1 ? `curve kind-${k % 5}` : "curve", d: `M${path(line)}` },
      s("title", {}, field.outputs[k]))),
    // Where rows are: each mark is the same share of them.
    values.map((v) => s("line", { class: "tick", x1: x(v), x2: x(v), y1: height - 24, y2: height - 20 })),
    axisOf(shape, values, width / 60).map((v) => s("text", { class: "axis", x: x(v), y: height - 6, "text-anchor": anchor(x(v) - 12, width) }, shape === "number" ? short(v, 4) : cell({ shape }, v, values.at(-1) - values[0]))),
    effect.length > 1 ? effect.map((line, k) => s("text", { class: `axis kind-${k % 5}`, x: width - 10, y: y(line.at(-1)) - 5, "text-anchor": "end" }, field.outputs[k])) : null];
}

function levelMarks(width, height, field, { levels, effect, low, high }, y) {
  const step = (width - 58) / levels.length;
  const x = (i) => 52 + (i + 0.5) * step;
  const letters = Math.max(3, Math.floor(step / 7));
  return levels.map((name, i) => [
    low ? s("line", { class: "whisker", x1: x(i), x2: x(i), y1: y(low[i]), y2: y(high[i]) }) : null,
    effect.map((line, k) => s("circle", { class: effect.length > 1 ? `dot kind-${k % 5}` : "dot", cx: x(i), cy: y(line[i]), r: 4 },
      s("title", {}, `${field.outputs.length > 1 ? `${field.outputs[k]}, ` : ""}${name}: ${figures(line[i], 3)}`))),
    s("text", { class: "axis", x: x(i), y: height - 6, "text-anchor": "middle" }, name.length > letters ? `${name.slice(0, letters - 1)}…` : name)]);
}

const axisOf = (shape, values, most) => (shape === "number" || shape === "duration" ? ticks(values[0], values.at(-1), most) : [values[0], values.at(-1)]);

function surfacePart(field, surface) {
  const place = h("div", { class: "plot" });
  const readout = h("p", { class: "readout soft", role: "status" }, "Point at a cell.");
  let width = 0;
  const draw = () => { if (width) place.replaceChildren(surfaceFigure(width, surface, readout, field)); };
  drawn(place, (now) => { width = now; draw(); });
  recoloured.push(draw);
  const what = field.outputs.length > 1 ? `Probability of ${field.outputs[surface.output]}. ` : "";
  return h("figure", { class: "card" }, h("h3", {}, `${surface.x.column} and ${surface.y.column}`), place, readout,
    h("figcaption", { class: "note" }, `${what}What the two do that neither does alone: ${percent(surface.share)} of the variance.`));
}

function surfaceFigure(width, { x: across, y: up, value }, readout, field) {
  const height = 260;
  const [rows, columns] = [value.length, value[0].length];
  const size = Math.max(...value.flat().map(Math.abs), 1e-12);
  const several = field.outputs.length > 1;
  const mix = several ? ramp(colour("mid"), colour("mid"), colour("category")) : signedRamp();
  const [left, bottom] = [60, height - 40];
  const [w, t] = [(width - left - 8) / columns, (bottom - 8) / rows];
  const label = (axis, i) => (axis.levels ? axis.levels[i] : cell({ shape: axis.shape }, axis.values[i], axis.values.at(-1) - axis.values[0]));
  const some = (n) => (n <= 4 ? Array.from({ length: n }, (_, i) => i) : [0, Math.floor(n / 2), n - 1]);
  const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  return figure(width, height, `Heat map over ${across.column} and ${up.column}`,
    value.flatMap((line, i) => line.map((v, j) => s("rect", {
      x: left + j * w, y: bottom - (i + 1) * t, width: w + 0.5, height: t + 0.5, fill: mix(several ? v : v / size),
      onpointerenter: () => { readout.textContent = `${across.column} ${label(across, j)}, ${up.column} ${label(up, i)}: ${several ? percent(v) : `${v > 0 ? "+" : ""}${figures(v, 3)}`}`; } }))),
    some(columns).map((j) => s("text", { class: "axis", x: left + (j + 0.5) * w, y: bottom + 16, "text-anchor": "middle" }, cut(label(across, j), 12))),
    some(rows).map((i) => s("text", { class: "axis", x: left - 6, y: bottom - (i + 0.5) * t + 4, "text-anchor": "end" }, cut(label(up, i), 7))),
    s("text", { class: "axis", x: left + (width - left - 8) / 2, y: height - 6, "text-anchor": "middle" }, `${across.column} →   ↑ ${up.column}`));
}
