// Words beside the drawing of the diagrams, which comes with the page.
function startDiagrams() {
  const sum = report.diagrams;
  if (!sum) {
    byId("diagrams").hidden = true;
    return;
  }
  const cut = sum.of > sum.shown ? ` Shown are the ${count(sum.shown)} largest of ${count(sum.of)}.` : "";
  body("diagrams").append(h("p", { class: "intro" },
    `The mean of ${report.target} is a sum: a line for each field that moves it, a dot where several meet. Below each, the standard deviation over rows of what it adds.${cut}`));
}
