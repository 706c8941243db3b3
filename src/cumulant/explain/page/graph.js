// The strongest couplings as chords of a circle, columns that are alike side by side, and the same as a list.
const MOST_NODES = 40;
const LISTED = 12;

function startGraph() {
  const place = body("graph");
  const matrices = [couplings.direct, couplings.total];
  const state = { which: 0, most: 0 };
  const picture = h("div", { class: "graph-picture" });
  const readout = h("p", { class: "readout", role: "status" });
  const list = h("div", { class: "graph-list" });
  const edges = matrices.map((matrix) => {
    const all = [];
    for (let i = 0; i < linked; i++) for (let j = i + 1; j < linked; j++) {
      const value = matrix[i * linked + j];
      if (Math.abs(value) >= 0.005) all.push({ i, j, value, strength: Math.abs(value), sign: hasSign(i, j) ? Math.sign(value) : 0 });
    }
    return all.sort((a, b) => b.strength - a.strength || a.i - b.i || a.j - b.j);
  });
  if (!edges.some((all) => all.length)) {
    byId("graph").hidden = true;
    return;
  }
  // Those that a reader can follow: the strong ones, at least as many as there are columns.
  const fitting = (all) => Math.min(all.length, 120, Math.max(linked, all.filter((e) => e.strength >= 0.15).length));
  const slider = h("input", {
    type: "range", id: "edges", min: 1, step: 1,
    oninput: () => { state.most = Number(slider.value); show(); },
  });
  const shownCount = h("output", { for: "edges" });
  const reset = () => {
    slider.max = Math.max(1, Math.min(edges[state.which].length, 200));
    slider.value = state.most = fitting(edges[state.which]);
  };
  const tools = h("div", { class: "tools" },
    segments("Strength", ["Direct", "In all"], 0, (i) => { state.which = i; reset(); show(); }),
    h("div", { class: "level-row" }, h("label", { for: "edges" }, "Strongest"), slider, shownCount));
  place.append(
    h("p", { class: "intro" }, "Direct couplings are what two columns tell of each other at fixed values of all others; a chord is as wide as they are strong. "
      + "Strength is the correlation for two numbers, and for categories the correlation that carries the same information."),
    tools, h("div", { class: "graph" }, h("div", {}, picture, readout), list));
  if (linked > MOST_NODES) place.append(h("p", { class: "note" }, `Drawn are chords between the ${MOST_NODES} columns with the strongest of them.`));

  function show() {
    const all = edges[state.which];
    const some = all.slice(0, state.most);
    const width = picture.clientWidth;
    if (width) {
      const drawing = circle(width, some, readout);
      picture.replaceChildren(drawing);
      // Labels seldom reach as far up and down as they might.
      const { y, height } = drawing.getBBox();
      drawing.setAttribute("viewBox", `0 ${y - 6} ${drawing.getAttribute("width")} ${height + 12}`);
      drawing.setAttribute("height", height + 12);
      shownCount.textContent = String(drawing.querySelectorAll(".chord").length);
    }
    readout.textContent = "Point at a column or a chord to single it out.";
    list.replaceChildren(strongest(all.slice(0, LISTED), state.which));
  }
  reset();
  drawn(picture, show);
}

function strongest(edges, which) {
  const head = ["Columns", which ? "Correlation" : "Partial corr.", "Information"].map((name, i) =>
    h("th", { scope: "col", class: i ? "number" : null }, name));
  const rows = edges.map(({ i, j, value, sign, strength }) => h("tr", {},
    h("td", { class: "pair" }, h("span", { class: `swatch ${sign < 0 ? "down" : sign > 0 ? "up" : "category"}`, "aria-hidden": "true" }), `${couplings.columns[i]} – ${couplings.columns[j]}`),
    h("td", { class: "number" }, sign ? figures(value, 3) : figures(strength, 3)),
    h("td", { class: "number" }, strength >= 0.9999 ? "> 4 nats" : `${figures(-Math.log1p(-strength * strength) / 2, 2)} nats`)));
  return table("The strongest couplings", head, rows);
}

function circle(width, edges, readout) {
  const used = new Set(edges.flatMap((e) => [e.i, e.j]));
  const crowded = linked > MOST_NODES;
  const target = placeOfColumn.get(report.target);
  const reach = (i) => (i === target ? 2 : Math.max(...edges.filter((e) => e.i === i || e.j === i).map((e) => e.strength)));
  const strong = [...new Set([...used, ...(target === undefined ? [] : [target])])].map((i) => [i, reach(i)]);
  const allowed = new Set(strong.sort((a, b) => b[1] - a[1]).slice(0, MOST_NODES).map(([i]) => i));
  const nodes = couplings.columns.map((_, i) => i).filter((i) => !crowded || allowed.has(i));
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = labelFont(12.5);
  const most = Math.min(150, width * 0.24);
  const names = new Map(nodes.map((i) => [i, shortened(couplings.columns[i], pen, most)]));
  const room = Math.max(...[...names.values()].map((name) => pen.measureText(name).width)) + 16;
  const side = Math.min(width, 640, 2 * room + 30 * nodes.length + 80);
  const radius = side / 2 - room;
  const middle = side / 2;
  const angle = new Map(nodes.map((i, k) => [i, (2 * Math.PI * (k + 0.5)) / nodes.length - Math.PI / 2]));
  const point = (i, r = radius) => [middle + r * Math.cos(angle.get(i)), middle + r * Math.sin(angle.get(i))];
  const top = edges.length ? edges[0].strength : 1;

  const chords = edges.filter((e) => angle.has(e.i) && angle.has(e.j)).reverse().map((edge) => {
    const [[x1, y1], [x2, y2]] = [point(edge.i), point(edge.j)];
    // Chords bend to the middle, near neighbours less.
    const pull = 1 - 0.55 * (Math.hypot(x1 - x2, y1 - y2) / (2 * radius)) - 0.25;
    const [cx, cy] = [(x1 + x2) / 2, (y1 + y2) / 2].map((v) => middle + (v - middle) * Math.max(0.1, pull));
    return s("path", {
      class: `chord ${edge.sign < 0 ? "down" : edge.sign > 0 ? "up" : "category"}`, "data-ends": `${edge.i} ${edge.j}`,
      d: `M${x1.toFixed(1)},${y1.toFixed(1)} Q${cx.toFixed(1)},${cy.toFixed(1)} ${x2.toFixed(1)},${y2.toFixed(1)}`,
      "stroke-width": (0.75 + 7 * (edge.strength / top) ** 1.5).toFixed(2), opacity: (0.25 + 0.65 * edge.strength).toFixed(2),
      onpointerenter: () => single(edge.i, edge.j, edge), onpointerleave: () => single(),
    });
  });
  const labels = nodes.map((i) => {
    const turn = (angle.get(i) * 180) / Math.PI;
    const left = Math.cos(angle.get(i)) < -1e-9;
    const [x, y] = point(i, radius + 10);
    const [nx, ny] = point(i);
    return s("g", {
      class: "node", "data-node": i, tabindex: "0", role: "img", "aria-label": spokenNode(i, edges),
      onpointerenter: () => single(i), onpointerleave: () => single(), onfocus: () => single(i), onblur: () => single(),
    },
    s("circle", { cx: nx, cy: ny, r: 4.5 }),
    s("text", {
      transform: `translate(${x.toFixed(1)},${y.toFixed(1)}) rotate(${(left ? turn + 180 : turn).toFixed(1)})`,
      "text-anchor": left ? "end" : "start", "dominant-baseline": "central",
    }, names.get(i)));
  });
  const picture = s("svg", { viewBox: `0 0 ${side} ${side}`, width: side, height: side, role: "group", "aria-label": "The strongest couplings between columns" }, chords, labels);

  function single(i = null, j = null, edge = null) {
    const on = (a, b) => i === null || (j === null ? a === i || b === i : a === i && b === j);
    const touched = new Set();
    for (const chord of chords) {
      const [a, b] = chord.dataset.ends.split(" ").map(Number);
      chord.classList.toggle("faded", !on(a, b));
      if (on(a, b)) touched.add(a).add(b);
    }
    for (const label of labels) label.classList.toggle("faded", i !== null && !touched.has(Number(label.dataset.node)) && Number(label.dataset.node) !== i);
    if (i === null) readout.textContent = "Point at a column or a chord to single it out.";
    else readout.textContent = edge ? `${couplings.columns[i]} and ${couplings.columns[j]}: ${figures(edge.value, 3)}` : spokenNode(i, edges);
  }
  return picture;
}

function spokenNode(i, edges) {
  const own = edges.filter((e) => e.i === i || e.j === i).slice(0, 3);
  if (!own.length) return `${couplings.columns[i]}: no coupling among those shown`;
  return `${couplings.columns[i]}: ${own.map((e) => `${couplings.columns[e.i === i ? e.j : e.i]} ${figures(e.value, 2)}`).join(", ")}`;
}
