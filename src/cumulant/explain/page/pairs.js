// Double-double arithmetic, for models measured in it: numbers of 106 bits as the unevaluated sum of two doubles
// (Dekker, Numer. Math. 18, 1971). A matrix of pairs is an array of rows of [high, low].
const pairs = (() => {
  const COLLINEAR = 1e-25;
  const SPLITTER = 134217729;

  const quickSum = (a, b) => {
    const sum = a + b;
    return [sum, b - (sum - a)];
  };

  const twoSum = (a, b) => {
    const sum = a + b;
    const part = sum - a;
    return [sum, a - (sum - part) + (b - part)];
  };

  const halves = (a) => {
    const scaled = SPLITTER * a;
    const head = scaled - (scaled - a);
    return [head, a - head];
  };

  const twoProduct = (a, b) => {
    const product = a * b;
    const [ah, al] = halves(a);
    const [bh, bl] = halves(b);
    return [product, ah * bh - product + ah * bl + al * bh + al * bl];
  };

  const add = (a, b) => {
    const [high, low] = twoSum(a[0], b[0]);
    const [tail, rest] = twoSum(a[1], b[1]);
    const [sum, error] = quickSum(high, low + tail);
    return quickSum(sum, error + rest);
  };
  const subtract = (a, b) => add(a, [-b[0], -b[1]]);
  const multiply = (a, b) => {
    const [high, low] = twoProduct(a[0], b[0]);
    return quickSum(high, low + (a[0] * b[1] + a[1] * b[0]));
  };
  const divide = (a, b) => {
    const first = a[0] / b[0];
    const rest = subtract(a, multiply(b, [first, 0]));
    const second = rest[0] / b[0];
    const last = subtract(rest, multiply(b, [second, 0]));
    return add(twoSum(first, second), [last[0] / b[0], 0]);
  };
  const root = (a) => {
    const estimate = Math.sqrt(a[0]);
    const rest = subtract(a, twoProduct(estimate, estimate));
    return quickSum(estimate, estimate > 0 ? rest[0] / (2 * estimate) : 0);
  };

  // As `linear.factor`, from a function that gives the pair of entry (i, j) of the covariance.
  function factor(entry, at) {
    // Powers of two scale without rounding.
    const variance = at.map((i) => entry(i, i)[0]);
    const scale = variance.map((v) => (v > 0 ? 2 ** -Math.round(Math.log2(v) / 2) : 0));
    const kept = [];
    const rows = [];
    at.forEach((field, i) => {
      if (!scale[i]) return;
      const scaled = (j) => entry(field, at[j]).map((word) => word * scale[i] * scale[j]);
      const row = [];
      let pivot = scaled(i);
      const original = pivot[0];
      kept.forEach((j, a) => {
        let rest = scaled(j);
        for (let k = 0; k < a; k++) rest = subtract(rest, multiply(row[k], rows[a][k]));
        row.push(divide(rest, rows[a][a]));
        pivot = subtract(pivot, multiply(row[a], row[a]));
      });
      if (!(pivot[0] > 0 && pivot[0] >= COLLINEAR * original)) return;
      row.push(root(pivot));
      kept.push(i);
      rows.push(row);
    });
    return { at, scale, kept, rows, rank: kept.length };
  }

  // C⁻¹ b and bᵀ C⁻¹ b for a right-hand side of pairs over the factored fields.
  function solve(f, b) {
    const x = f.kept.map((i) => b[i].map((word) => word * f.scale[i]));
    const scaled = x.slice();
    for (let a = 0; a < f.rank; a++) {
      for (let k = 0; k < a; k++) x[a] = subtract(x[a], multiply(f.rows[a][k], x[k]));
      x[a] = divide(x[a], f.rows[a][a]);
    }
    for (let a = f.rank - 1; a >= 0; a--) {
      x[a] = divide(x[a], f.rows[a][a]);
      for (let k = 0; k < a; k++) x[k] = subtract(x[k], multiply(f.rows[a][k], x[a]));
    }
    const solution = new Float64Array(f.at.length);
    let form = [0, 0];
    f.kept.forEach((i, a) => {
      solution[i] = x[a][0] * f.scale[i];
      form = add(form, multiply(scaled[a], x[a]));
    });
    return { solution, form };
  }

  // The same factor in plain doubles.
  const rounded = (f) => ({ ...f, rows: f.rows.map((row) => Float64Array.from(row, (pair) => pair[0])) });

  return { factor, solve, rounded, subtract };
})();
