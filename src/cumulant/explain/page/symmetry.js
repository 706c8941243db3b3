// The symmetry the model was solved under, or those that the moments show, with the evidence and a picture.
const VERDICTS = {
  holds: "holds", implied: "implied by a larger one that holds", approximate: "approximate", local: "from neighbour to neighbour only",
  undecided: "undecided", surpassed: "a part of it explains the rows better", refused: "refused",
};

function startSymmetry() {
  const place = body("symmetry");
  const { why, imposed, summary, notes, findings, pictures } = report.symmetry;
  if (why) {
    place.append(h("p", { class: "note" }, why));
    return;
  }
  if (imposed) place.append(...imposedParts(imposed));
  else place.append(...foundParts(summary, findings));
  if (pictures.length) place.append(orbitMaps(pictures));
  if (findings.length) place.append(evidenceTable(findings));
  if (notes.length) place.append(h("ul", { class: "plain note" }, notes.map((note) => h("li", {}, note))));
}

function imposedParts(s) {
  const states = { declared: "declared", chosen: "chosen among several by held-out rows", detected: "detected in the moments" };
  const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
  const saved = (name, [before, after]) => fact(name, before === after ? figures(after, 3) : `${figures(before, 3)} → ${figures(after, 3)}`);
  const tried = s.tried.map(([name, heldout, parameters]) => h("tr", {},
    h("th", { scope: "row", class: "name" }, name), h("td", { class: "number" }, figures(heldout, 6)), h("td", { class: "number" }, count(parameters))));
  return [
    h("p", { class: "intro" }, "The model was solved under ", h("b", {}, s.name), `, ${states[s.state]}`,
      s.strength < 1 ? `: the covariance is drawn ${percent(s.strength)} of the way to its average.` : ": entries of the covariance that the group maps to each other are one number."),
    h("dl", { class: "facts" }, saved("Parameters", s.parameters), saved("Flops to invert", s.flops), fact("Strength", figures(s.strength, 3))),
    tried.length > 1 ? table("Symmetries that were weighed", ["Symmetry", "Held-out log-likelihood of a row", "Parameters"].map((name, i) =>
      h("th", { scope: "col", class: i ? "number" : null }, name)), tried) : "",
  ];
}

function foundParts(summary, findings) {
  const said = `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;
  if (!findings.length) return [h("p", { class: "note" }, said)];
  return [h("p", { class: "intro" }, `${said} A symmetry moves columns and leaves their covariances as they are; solving under one, with symmetry=, takes fewer parameters from the same rows.`)];
}

function evidenceTable(findings) {
  const head = ["Symmetry", "Why it was weighed", "Parameters", "Log odds", "Held out, a row", "p", "Verdict"].map((name, i) =>
    h("th", { scope: "col", class: i > 1 && i < 6 ? "number" : null }, name));
  const rows = findings.map((f) => h("tr", { class: f.verdict === "refused" ? "dropped" : null },
    h("th", { scope: "row", class: "name" }, f.symmetry, f.scale === "correlation" ? h("small", {}, " up to scale") : null),
    h("td", { class: "reason" }, f.why),
    h("td", { class: "number" }, f.parameters.map(count).join(" → ")),
    h("td", { class: "number" }, figures(f.log_odds, 3)),
    h("td", { class: "number" }, figures(f.heldout, 2)),
    h("td", { class: "number" }, pValue(f.p)),
    h("td", {}, VERDICTS[f.verdict] ?? f.verdict)));
  return h("div", { class: "apart" }, table("Symmetries and their evidence", head, rows, { class: "evidence" }));
}

// Three maps with one cursor: as measured, which entries are one number, and that number.
function orbitMaps(pictures) {
  const views = pictures.map(viewOf);
  let shown = views[0];
  let cursor = null;
  const root = h("div", {});
  const readout = h("p", { class: "readout", role: "status" });

  function show() {
    const place = h("div", { class: "maps orbits" });
    const maps = shown.words.map((_, which) => heatMap(which, () => shown, () => cursor, (at) => { cursor = at; refresh(); }));
    const refresh = () => { maps.forEach((map) => map.draw(false)); readout.replaceChildren(...read()); };
    place.append(...maps.map((map) => map.root));
    root.replaceChildren(place);
    refresh();
  }

  function read() {
    if (!cursor) return [h("span", { class: "soft" }, "Point at a cell, or tap it. With the keyboard: arrow keys.")];
    const at = cursor[0] * shown.size + cursor[1];
    const others = shown.members.get(shown.labels[at]);
    const [a, b] = cursor.map((i) => shown.names[i]);
    const values = shown.values.map(([word, matrix]) => `${word} ${figures(matrix[at], 3)}`).join(", ");
    const equal = shown.labels[at] < 0 ? "the symmetry leaves nothing of it" : others > 1 ? `one of ${plural(others, "entry", "entries")} that are one number` : "on its own";
    return [h("b", {}, a), a === b ? "" : " and ", a === b ? "" : h("b", {}, b), `: ${values}; ${equal}`];
  }

  show();
  return h("div", {},
    views.length > 1 ? h("div", { class: "tools" }, choice("symmetry-shown", "Picture of", views.map((v) => v.title), 0, (i) => { shown = views[i]; cursor = null; show(); })) : h("h3", {}, shown.title),
    root, readout,
    h("div", { class: "legend" }, h("span", { class: "key" }, h("span", {}, `${MINUS}1`), h("span", { class: "ramp signed", "aria-hidden": "true" }), h("span", {}, "+1")),
      "covariance in units of the averaged standard deviations; in the middle, equal colours are one number"));
}

function viewOf(shown) {
  const size = shown.fields.length;
  const labels = shown.orbits.flat();
  const members = new Map();
  for (let i = 0; i < size; i++) for (let j = i; j < size; j++) members.set(labels[i * size + j], (members.get(labels[i * size + j]) ?? 0) + 1);
  const values = [["as measured", shown.measured], [shown.solved ? "as solved" : "averaged", shown.averaged]]
    .filter(([, text]) => text !== null).map(([word, text]) => [word, picture(text, size)]);
  const panels = values.map(([word, matrix]) => ({ word, matrix, shades: signedRamp }));
  panels.splice(-1, 0, { word: "what it makes equal", matrix: labels, shades: () => orbitColour });
  const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1);
  return {
    title: shown.title, names: shown.fields, size, labels, members, values,
    matrices: panels.map((p) => p.matrix), words: panels.map((p) => capital(p.word)), shades: (which) => panels[which].shades(),
  };
}

// Neighbouring numbers are far apart in hue; an entry that must vanish has the colour of zero.
const orbitColour = (label) => (label < 0 ? colour("mid") : `hsl(${(210 + label * 222.492) % 360} 42% ${46 + 18 * ((label * 0.7549) % 1)}%)`);
