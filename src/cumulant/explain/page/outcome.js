// The answer: a density over a number line, or a bar for each level, and what moved it there.
function densityFigure(width, height, column, now, before, level) {
  const pad = { left: 8, right: 8, top: 10, bottom: 26 };
  const reach = student.halfWidth(0.995, Math.max(before.nu, 3));
  const span = (p, k) => [p.mean - k * p.scale, p.mean + k * p.scale];
  const [a, b] = span(before, Math.min(reach, 3.2));
  const [c, d] = span(now, Math.min(reach, 3.5));
  let [low, high] = [Math.min(a, c), Math.max(b, d)];
  if (!(high > low)) [low, high] = [now.mean - 1, now.mean + 1];
  const x = scaled(low, high, pad.left, width - pad.right);
  const bottom = height - pad.bottom;
  const peak = now.scale > 0 ? student.density(0, now.nu) / now.scale : 0;
  const y = scaled(0, peak || 1, bottom, pad.top);
  const value = (p) => (v) => student.density((v - p.mean) / p.scale, p.nu) / p.scale;
  const path = (p, from, to) => {
    const f = value(p);
    const steps = Array.from({ length: 161 }, (_, i) => from + ((to - from) * i) / 160);
    // A narrow peak between two steps must not be cut off.
    if (p.mean > from && p.mean < to) steps.push(...[-2, -1, -0.5, -0.2, 0, 0.2, 0.5, 1, 2].map((k) => p.mean + k * p.scale));
    const inside = steps.filter((v) => v >= from && v <= to).sort((u, v) => u - v);
    return inside.map((v) => `${x(v).toFixed(2)},${y(f(v)).toFixed(2)}`).join(" L");
  };
  const [from, to] = model.interval(now, level);
  const marks = ticks(low, high, isMoment(column) ? width / 130 : width / 90).map((v) => [
    s("line", { class: "tick", x1: x(v), x2: x(v), y1: bottom, y2: bottom + 4 }),
    s("text", { class: "axis", x: Math.min(width - 14, Math.max(14, x(v))), y: height - 8, "text-anchor": anchor(x(v), width) },
      isMoment(column) ? cell(column, v) : short(v)),
  ]);
  const shapes = now.scale > 0
    ? [
        before.scale > 0 && s("path", { class: "before", d: `M${path(before, low, high)}` }),
        s("path", { class: "inside", d: `M${x(Math.max(from, low))},${bottom} L${path(now, Math.max(from, low), Math.min(to, high))} L${x(Math.min(to, high))},${bottom} Z` }),
        s("path", { class: "curve", d: `M${path(now, low, high)}` }),
      ]
    : [];
  return figure(width, height, "Probability density", shapes.filter(Boolean),
    s("line", { class: "baseline", x1: pad.left, x2: width - pad.right, y1: bottom, y2: bottom }),
    s("line", { class: "mean", x1: x(now.mean), x2: x(now.mean), y1: pad.top - 4, y2: bottom }), marks);
}

const anchor = (at, width) => (at < 40 ? "start" : at > width - 40 ? "end" : "middle");

// Bars for the most probable levels, a tick at the share each has among all rows.
function levelBars(column, now, before, most) {
  const order = now.map((p, i) => i).sort((a, b) => now[b] - now[a] || a - b);
  const rest = order.slice(most);
  const bar = (name, p, prior, extra = {}) =>
    h("li", { class: "level", ...extra },
      h("span", { class: "level-name", title: name }, name),
      h("span", { class: "level-track" },
        h("span", { class: "level-bar", style: `width:${100 * p}%` }),
        h("span", { class: "level-prior", style: `left:${100 * prior}%` })),
      h("span", { class: "level-share" }, percent(p)));
  const sum = (values) => rest.reduce((total, i) => total + values[i], 0);
  return h("ul", { class: "levels" },
    order.slice(0, most).map((i) => bar(column.levels[i], now[i], before[i], { "data-level": i })),
    rest.length ? bar(plural(rest.length, "other level"), sum(now), sum(before), { class: "level others" }) : null);
}

// How far each known column moved the mean: coefficients times deviations, which add up exactly.
function movesFigure(moves, spread) {
  if (!moves.length) return null;
  const most = Math.max(...moves.map((move) => Math.abs(move.by)), 1e-300);
  const shown = moves.slice(0, 8);
  const rest = moves.slice(8).reduce((sum, move) => sum + move.by, 0);
  const all = moves.length > 8 ? [...shown, { name: plural(moves.length - 8, "other column"), by: rest }] : shown;
  return h("ul", { class: "moves" }, all.map((move) =>
    h("li", {},
      h("span", { class: "level-name", title: move.name }, move.name),
      h("span", { class: "move-track" },
        h("span", { class: move.by < 0 ? "move-bar down" : "move-bar up", style: `width:${Math.min(50, (50 * Math.abs(move.by)) / most)}%` })),
      h("span", { class: "level-share" }, (move.by > 0 ? "+" : "") + near(move.by, spread)))));
}
