// What the page was given: the description of the model, and the model itself.
const content = JSON.parse(byId("content").textContent);
const report = content.report;
const model = openModel(content.model);
const columns = content.model.columns;
const described = new Map(report.columns.map((column) => [column.name, column]));

// Matrices for pictures come as 16-bit integers, upper triangle by rows, in units of 1/10,000.
function picture(text, p) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return linear.unpack(Float64Array.from({ length: bytes.length / 2 }, (_, i) => view.getInt16(2 * i, true) / 1e4), p);
}
const couplings = report.couplings;
const linked = couplings.columns.length;
for (const name of ["total", "direct"]) couplings[name] = picture(couplings[name], linked);
for (const name of ["correlation", "partial_correlation"]) couplings[name] = picture(couplings[name], couplings.fields.length);
const placeOfColumn = new Map(couplings.columns.map((name, i) => [name, i]));
const fieldsOfColumn = couplings.columns.map((_, i) => couplings.column_of_field.filter((c) => c === i).length);
const hasSign = (i, j) => fieldsOfColumn[i] === 1 && fieldsOfColumn[j] === 1;

// How much one column tells of another, all others integrated out: 0 to 1.
function link(a, b) {
  const [i, j] = [placeOfColumn.get(a), placeOfColumn.get(b)];
  return i === undefined || j === undefined ? 0 : Math.abs(couplings.total[i * linked + j]);
}
