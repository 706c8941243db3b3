// Words beside the drawing of the diagrams, which comes with the page.
function startDiagrams() {
  const sum = report.diagrams;
  if (!sum) {
    byId("diagrams").hidden = true;
    return;
  }
  const cut = sum.of > sum.shown ? ` Shown are the ${count(sum.shown)} largest of ${count(sum.of)}.` : "";
  body("diagrams").append(h("p", { class: "intro" }, sum.widths
    ? `Hidden layers of ${sum.widths.map(count).join(", ")} units, not infinitely many, change mean and variance of ${report.target} by these diagrams, to first order in 1/width: a shifted propagator, and the four-point function of the network, which ends at rows and at x, or closes to a loop. Below each, the root mean square over rows of what it adds.`
    : `The mean of ${report.target} is a sum: a line for each field that moves it, a dot where several meet. Below each, the standard deviation over rows of what it adds.${cut}`));
}
