// The page as a whole: colours, the list of contents, and its parts in order.
const THEMES = ["auto", "light", "dark"];

function startTheme() {
  const button = byId("theme");
  const stored = () => { try { return localStorage.getItem("cumulant-theme"); } catch { return null; } };
  let theme = THEMES.includes(stored()) ? stored() : "auto";
  const apply = () => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = { auto: "Auto", light: "Light", dark: "Dark" }[theme];
    button.setAttribute("aria-label", `Colours: ${theme}. Change`);
    recoloured.forEach((again) => again());
  };
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    try { localStorage.setItem("cumulant-theme", theme); } catch { /* a file may be denied storage; the choice then lasts as long as the page */ }
    apply();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  apply();
}

function startContents() {
  const names = { predict: "Predict", measured: "Measured", couplings: "Maps", graph: "Couplings", symmetry: "Symmetry", class: "Class", field: "Field", regression: "Regression", diagrams: "Diagrams", "held-out": "Held out", ledger: "Cost" };
  for (const [id, name] of Object.entries(names)) {
    if (!byId(id).hidden) byId("contents").append(h("li", {}, h("a", { href: `#${id}` }, name)));
  }
}

startHead();
startPredictor();
startMeasured();
startMaps();
startGraph();
startSymmetry();
startClass();
startField();
startRegression();
startDiagrams();
startHeldOut();
startLedger();
startContents();
startTheme();
byId("footer").append(
  `Made by cumulant ${report.version}. The model is in this file; nothing is loaded, and nothing is sent.`);

// For use from a console: values by column name, as in Python; a category by its level.
window.cumulant = {
  columns: columns.map((column) => column.name),
  student,
  predict(target, given = {}, level = 0.9) {
    const place = (name) => {
      const found = columns.findIndex((column) => column.name === name);
      if (found < 0) throw new Error(`no column "${name}" in this page`);
      return found;
    };
    const values = Object.entries(given).map(([name, value]) => {
      const column = columns[place(name)];
      const at = column.levels ? column.levels.indexOf(String(value)) : Number(value);
      if (at < 0 && column.levels) throw new Error(`"${value}" is no level of "${name}"`);
      return [place(name), at];
    });
    const { x, moves, ...answer } = predict(place(target), new Map(values), level);
    return answer;
  },
};
