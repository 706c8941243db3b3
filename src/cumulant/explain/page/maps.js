// Heat maps of correlations and of partial correlations, side by side, read by pointer, touch or arrow keys.
const MOST_LABELS = 60;

function startMaps() {
  const place = body("couplings");
  if (linked < 2) {
    place.append(h("p", { class: "note" }, "A single column has nothing to hang together with."));
    return;
  }
  const shadesOf = (signed) => () => {
    const [mix, without, same] = [signedRamp(), ramp(colour("mid"), colour("mid"), colour("category")), colour("diagonal")];
    return (value, i, j) => (i === j ? same : signed(i, j) ? mix(value) : without(Math.abs(value)));
  };
  const byColumns = {
    names: couplings.columns, size: linked, matrices: [couplings.total, couplings.direct],
    signed: hasSign, shades: shadesOf(hasSign), words: ["Correlation", "Partial correlation"],
  };
  const byFields = {
    names: couplings.fields, size: couplings.fields.length, matrices: [couplings.correlation, couplings.partial_correlation],
    signed: () => true, shades: shadesOf(() => true), words: ["Correlation", "Partial correlation"],
  };
  const choices = couplings.fields.length > linked ? [byColumns, byFields] : [byColumns];
  let shown = choices[0];
  let cursor = null;
  const readout = h("p", { class: "readout", role: "status" });
  const maps = [0, 1].map((which) => heatMap(which, () => shown, () => cursor, (at) => { cursor = at; refresh(false); }));
  const legend = h("div", { class: "legend" });

  function refresh(all = true) {
    maps.forEach((map) => map.draw(all));
    readout.replaceChildren(...read());
  }

  function read() {
    if (!cursor) return [h("span", { class: "soft" }, "Point at a cell, or tap it. With the keyboard: arrow keys.")];
    const [i, j] = cursor;
    const { names, matrices, size, signed } = shown;
    if (i === j) return [h("b", {}, names[i])];
    const [all, direct] = matrices.map((m) => m[i * size + j]);
    const text = (v) => (signed(i, j) ? figures(v, 3) : `${figures(Math.abs(v), 3)} (no sign)`);
    return [h("b", {}, names[i]), " and ", h("b", {}, names[j]), `: correlation ${text(all)}; with all others fixed ${text(direct)}`];
  }

  const explain = "Correlation: how columns move together. Partial correlation: what is left of it at fixed values of "
    + "all other columns, from the precision matrix K = C⁻¹, the couplings of the free energy. Neighbours are alike.";
  place.append(h("p", { class: "intro" }, explain));
  if (choices.length > 1) {
    place.append(h("div", { class: "tools" },
      segments("Show", ["Columns", "Fields"], 0, (i) => { shown = choices[i]; cursor = null; drawLegend(); refresh(); }),
      h("p", { class: "soft" }, "A category is one column of many fields, one for each level but the first.")));
  }
  place.append(h("div", { class: "maps" }, maps.map((map) => map.root)), readout, legend);
  if (report.shown.columns < report.shown.of_columns) {
    place.append(h("p", { class: "note apart" },
      `Shown are ${plural(report.shown.columns, "column")} of ${count(report.shown.of_columns)}: those most connected${report.target ? ` to ${report.target}` : ""}. The others are still held fixed in the partial correlations.`));
  }

  function drawLegend() {
    const unsigned = shown === byColumns && fieldsOfColumn.some((n) => n !== 1);
    const scale = (name, low, high) => h("span", { class: "key" }, h("span", {}, low), h("span", { class: `ramp ${name}`, "aria-hidden": "true" }), h("span", {}, high));
    legend.replaceChildren(...[scale("signed", `${MINUS}1`, "+1"), unsigned ? scale("unsigned", "0", "1, with a category") : null].filter(Boolean));
  }
  drawLegend();
  refresh();
}

// One map on a canvas; the picture is kept, and only the cursor is drawn anew as it moves.
function heatMap(which, getShown, getCursor, setCursor) {
  const canvas = h("canvas", { tabindex: "0", role: "img" });
  const title = h("h3", {});
  const root = h("figure", { class: "map" }, title, canvas);
  const kept = document.createElement("canvas");
  let layout = null;

  function draw(all = true) {
    const width = Math.floor(root.clientWidth);
    if (!width) return;
    const shown = getShown();
    const ratio = window.devicePixelRatio || 1;
    if (all || !layout || layout.width !== width) {
      title.textContent = shown.words[which];
      canvas.setAttribute("aria-label", `${shown.words[which]} of ${plural(shown.size, "row")} and columns; arrow keys move over the cells`);
      layout = arrangeMap(width, shown, kept.getContext("2d"));
      for (const c of [canvas, kept]) [c.width, c.height] = [Math.round(width * ratio), Math.round(layout.height * ratio)];
      canvas.style.height = `${layout.height}px`;
      const pen = kept.getContext("2d");
      pen.scale(ratio, ratio);
      paint(pen, shown, which, layout, ratio);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(kept, 0, 0);
    const cursor = getCursor();
    if (!cursor) return;
    pen.scale(ratio, ratio);
    const { left, top, unit } = layout;
    pen.strokeStyle = colour("ink");
    pen.lineWidth = 1.5;
    pen.strokeRect(left + cursor[1] * unit, top + cursor[0] * unit, unit, unit);
  }

  const at = (event) => {
    if (!layout) return null;
    const box = canvas.getBoundingClientRect();
    const j = Math.floor((event.clientX - box.left - layout.left) / layout.unit);
    const i = Math.floor((event.clientY - box.top - layout.top) / layout.unit);
    const inside = (k) => k >= 0 && k < getShown().size;
    return inside(i) && inside(j) ? [i, j] : null;
  };
  for (const name of ["pointermove", "pointerdown"]) canvas.addEventListener(name, (event) => setCursor(at(event)));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const last = getShown().size - 1;
    const from = getCursor() ?? [0, 0];
    setCursor(from.map((k, axis) => Math.min(last, Math.max(0, k + step[axis]))));
  });
  new ResizeObserver(() => draw(false)).observe(root);
  recoloured.push(() => draw());
  return { root, draw };
}

const labelFont = (size) => `${size}px ${getComputedStyle(document.body).fontFamily}`;

function shortened(text, pen, most) {
  if (pen.measureText(text).width <= most) return text;
  let end = text.length;
  while (end > 1 && pen.measureText(`${text.slice(0, end)}…`).width > most) end--;
  return `${text.slice(0, end)}…`;
}

function arrangeMap(width, shown, pen) {
  const { names, size } = shown;
  const most = Math.min(150, width * 0.3);
  let font = 12;
  pen.font = labelFont(font);
  const gutter = Math.min(most, Math.max(...names.slice(0, MOST_LABELS).map((name) => pen.measureText(name).width)) + 8);
  const room = Math.min(64, (width - gutter) / size);
  const labelled = size <= MOST_LABELS && room >= 8.5;
  if (!labelled) return { width, left: 0, top: 0, unit: width / size, height: width, labelled };
  font = Math.min(12, Math.max(9, room * 0.72));
  return { width, left: gutter, top: gutter, unit: room, height: Math.ceil(gutter + room * size), labelled, font };
}

function paint(pen, shown, which, layout, ratio) {
  const { names, size, matrices } = shown;
  const { left, top, unit, labelled, font } = layout;
  const shade = shown.shades(which);
  // Cells meet on whole device pixels, or hairlines show between them.
  const snap = (v) => Math.round(v * ratio) / ratio;
  const gap = unit >= 6 ? 1 / ratio : 0;
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      const value = matrices[which][i * size + j];
      pen.fillStyle = shade(value, i, j);
      const [x, y] = [snap(left + j * unit), snap(top + i * unit)];
      pen.fillRect(x, y, snap(left + (j + 1) * unit) - x - gap, snap(top + (i + 1) * unit) - y - gap);
    }
  }
  if (!labelled) return;
  pen.font = labelFont(font);
  pen.fillStyle = colour("soft");
  pen.textBaseline = "middle";
  names.forEach((name, i) => {
    const text = shortened(name, pen, left - 8);
    pen.textAlign = "right";
    pen.fillText(text, left - 6, top + (i + 0.5) * unit);
    pen.save();
    pen.translate(left + (i + 0.5) * unit, top - 6);
    pen.rotate(-Math.PI / 2);
    pen.textAlign = "left";
    pen.fillText(text, 0, 0);
    pen.restore();
  });
}

const signedRamp = () => ramp(colour("down"), colour("mid"), colour("up"));

// From one colour through another to a third, for −1 … 1, with some lift for weak values.
function ramp(low, middle, high) {
  const parse = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
  const [a, b, c] = [low, middle, high].map(parse);
  const known = new Map();
  return (value) => {
    const key = Math.round(100 * Math.max(-1, Math.min(1, value)));
    if (!known.has(key)) {
      const end = key < 0 ? a : c;
      const t = Math.abs(key / 100) ** 0.8;
      known.set(key, `rgb(${b.map((v, k) => Math.round(v + (end[k] - v) * t)).join(",")})`);
    }
    return known.get(key);
  };
}
