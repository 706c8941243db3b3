// The page of the notebook that F belongs to: which couplings matter, and what it is called elsewhere.
function startClass() {
  const found = report.class;
  const place = body("class");
  if (found.why) {
    place.append(h("p", { class: "note" }, found.why));
    return;
  }
  const listed = (title, names) => (names.length ? [h("h3", {}, title), h("ul", { class: "plain" }, names.map((name) => h("li", {}, name)))] : []);
  const facts = Object.entries(found.physics).map(([name, value]) =>
    h("div", {}, h("dt", {}, name.charAt(0).toUpperCase() + name.slice(1)), h("dd", {}, typeof value === "string" ? value : figures(value, 3))));
  place.append(
    h("p", { class: "class-name" }, found.class, h("small", {}, ` page ${found.page} of the notebook`)),
    h("p", { class: "intro" }, found.summary),
    facts.length ? h("dl", { class: "facts" }, facts) : "",
    h("div", { class: "two" },
      h("div", { class: "card" }, h("h3", {}, "Relevant couplings"), ...relevantCouplings(found)),
      h("div", { class: "card names" }, ...listed("In machine learning", found.machine_learning), ...listed("In physics", found.names_in_physics))));
}

function relevantCouplings(found) {
  const relevant = found.largest.filter(([, , , size]) => size > found.threshold);
  const words = `${count(found.relevant)} of ${plural(found.couplings, "coupling")} stand out of the noise, of size over ${figures(found.threshold, 2)}`
    + (found.relevant > relevant.length ? `; the ${relevant.length} largest are shown.` : ".");
  if (!relevant.length) return [h("p", {}, words)];
  const most = Math.max(...relevant.map(([, , , size]) => size));
  const bars = relevant.map(([name, , value, size]) => h("li", { title: `${name}: ${figures(value, 4)}` },
    h("span", { class: "level-name" }, name),
    h("span", { class: "level-track", "aria-hidden": "true" }, h("span", { class: "level-bar", style: `width:${(100 * size) / most}%` })),
    h("span", { class: "level-share" }, figures(size, 3))));
  return [h("ul", { class: "levels" }, bars), h("p", { class: "note apart" }, `${words} Size: the coefficient in F, its fields in standard deviations.`)];
}
