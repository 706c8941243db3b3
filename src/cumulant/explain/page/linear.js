// Factor a covariance and integrate fields out, as the Python solver does: columns scaled to unit variance, and a
// field whose variance the fields before it explain is dropped.
const linear = (() => {
  const COLLINEAR = 1e-11;

  // Row-packed upper triangle → full symmetric matrix, row by row.
  function unpack(triangle, p) {
    const full = new Float64Array(p * p);
    for (let i = 0, k = 0; i < p; i++) for (let j = i; j < p; j++, k++) full[i * p + j] = full[j * p + i] = triangle[k];
    return full;
  }

  // Cholesky factor of c[at, at], left to right; `rows` holds the kept rows of L.
  function factor(c, p, at) {
    const scale = at.map((i) => (c[i * p + i] > 0 ? 1 / Math.sqrt(c[i * p + i]) : 0));
    const kept = [];
    const rows = [];
    at.forEach((field, i) => {
      if (!scale[i]) return;
      const row = new Float64Array(kept.length + 1);
      let pivot = c[field * p + field] * scale[i] * scale[i];
      for (let a = 0; a < kept.length; a++) {
        let rest = c[field * p + at[kept[a]]] * scale[i] * scale[kept[a]];
        const other = rows[a];
        for (let k = 0; k < a; k++) rest -= row[k] * other[k];
        row[a] = rest / other[a];
        pivot -= row[a] * row[a];
      }
      if (!(pivot > COLLINEAR)) return;
      row[kept.length] = Math.sqrt(pivot);
      kept.push(i);
      rows.push(row);
    });
    return { at, scale, kept, rows, rank: kept.length };
  }

  // L⁻¹ of a vector over the factored fields: uncorrelated, of unit variance.
  function whiten(f, values) {
    const out = new Float64Array(f.rank);
    for (let a = 0; a < f.rank; a++) {
      let rest = values[f.kept[a]] * f.scale[f.kept[a]];
      const row = f.rows[a];
      for (let k = 0; k < a; k++) rest -= row[k] * out[k];
      out[a] = rest / row[a];
    }
    return out;
  }

  // L⁻ᵀ of a whitened vector, back on the scale of the fields: C⁻¹ v from L⁻¹ v.
  function unwhiten(f, white) {
    const solved = Float64Array.from(white);
    const out = new Float64Array(f.at.length);
    for (let a = f.rank - 1; a >= 0; a--) {
      solved[a] /= f.rows[a][a];
      for (let k = 0; k < a; k++) solved[k] -= f.rows[a][k] * solved[a];
      out[f.kept[a]] = solved[a] * f.scale[f.kept[a]];
    }
    return out;
  }

  const dot = (a, b) => {
    let sum = 0;
    for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
    return sum;
  };

  const column = (c, p, rows, j) => Float64Array.from(rows, (i) => c[i * p + j]);

  // tr A C⁻¹ for the factored covariance C and the same fields of a matrix A.
  const traceOfRatio = (f, a, p) =>
    f.at.reduce((sum, field, i) => sum + unwhiten(f, whiten(f, column(a, p, f.at, field)))[i], 0);

  return { unpack, factor, whiten, unwhiten, dot, column, traceOfRatio };
})();
