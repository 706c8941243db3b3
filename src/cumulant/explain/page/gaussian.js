// The model: mean and covariance of all fields, from which any column follows given any others.
function openModel(payload) {
  const doubles = (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Float64Array.from({ length: bytes.length / 8 }, (_, i) => view.getFloat64(8 * i, true));
  };
  const mean = doubles(payload.mean);
  const p = mean.length;
  const high = linear.unpack(doubles(payload.covariance), p);
  const low = payload.low === null ? null : linear.unpack(doubles(payload.low), p);
  // Without the prior: the errors that the model makes, where `high` is what it assumes.
  const measured = payload.measured === null ? null : linear.unpack(doubles(payload.measured), p);
  const { count, degrees, mass, fixed, leverage } = payload;
  const freedom = Math.max(degrees, 1);

  const unknown = () => new Float64Array(p).fill(NaN);
  const observedIn = (x, targets) => {
    const hidden = new Set(targets);
    return [...x.keys()].filter((i) => !Number.isNaN(x[i]) && !hidden.has(i));
  };
  const deviation = (x, at) => Float64Array.from(at, (i) => x[i] - mean[i]);

  // Residual variance and coefficients of one field given the observed ones.
  function regression(target, observed) {
    if (low !== null) {
      const entry = (i, j) => [high[i * p + j], low[i * p + j]];
      const exact = pairs.factor(entry, observed);
      const { solution, form } = pairs.solve(exact, observed.map((i) => entry(i, target)));
      const variance = pairs.subtract(entry(target, target), form)[0];
      return { factor: pairs.rounded(exact), coefficients: solution, variance: Math.max(variance, 0) };
    }
    const factor = linear.factor(high, p, observed);
    const half = linear.whiten(factor, linear.column(high, p, observed, target));
    const variance = Math.max(high[target * p + target] - linear.dot(half, half), 0);
    return { factor, coefficients: linear.unwhiten(factor, half), variance };
  }

  // Variance of y − x·b among the rows that were measured, whatever prior b was found with.
  function errorVariance(target, observed, b) {
    const cross = linear.dot(b, linear.column(measured, p, observed, target));
    const square = observed.reduce((sum, i, k) => sum + b[k] * linear.dot(b, linear.column(measured, p, observed, i)), 0);
    return Math.max(measured[target * p + target] - 2 * cross + square, 0);
  }

  // The coefficients that the data, not the prior, determine.
  const parametersSpent = (factor) =>
    measured === null ? factor.rank : linear.traceOfRatio(factor, measured, p) / (1 + mass);

  // Student t of a field (the first of `targets`, which are all hidden) given the known values in x.
  function number(targets, x) {
    const [target] = targets;
    const observed = observedIn(x, targets);
    const { factor, coefficients, variance } = regression(target, observed);
    const eta = deviation(x, observed);
    const white = linear.whiten(factor, eta);
    const nu = Math.max(count - 1 - fixed - parametersSpent(factor), 1);
    const inflation = 1 + 1 / count + leverage + linear.dot(white, white) / ((1 + mass) * freedom);
    const error = measured === null ? variance : errorVariance(target, observed, coefficients);
    return {
      mean: mean[target] + linear.dot(coefficients, eta),
      scale: Math.sqrt(((error * freedom) / nu) * inflation),
      nu,
      explained: high[target * p + target] > 0 ? 1 - error / high[target * p + target] : 0,
      moves: observed.map((field, i) => ({ field, by: coefficients[i] * eta[i] })),
    };
  }

  function interval(prediction, level) {
    const half = prediction.scale * student.halfWidth(level, prediction.nu);
    return [prediction.mean - half, prediction.mean + half];
  }

  // Mean and standard deviation of every other field at once; for models in double precision.
  function expectations(x) {
    const observed = observedIn(x, []);
    const factor = linear.factor(high, p, observed);
    const white = linear.whiten(factor, deviation(x, observed));
    const out = { mean: Float64Array.from(x), sd: new Float64Array(p) };
    const known = new Set(observed);
    for (let j = 0; j < p; j++) {
      if (known.has(j)) continue;
      const half = linear.whiten(factor, linear.column(high, p, observed, j));
      out.mean[j] = mean[j] + linear.dot(half, white);
      out.sd[j] = Math.sqrt(Math.max(high[j * p + j] - linear.dot(half, half), 0));
    }
    return out;
  }

  function frequencies(indicators) {
    const inner = indicators.map((i) => mean[i]);
    const all = [1 - inner.reduce((a, b) => a + b, 0), ...inner].map((v) => Math.max(v, 0));
    const sum = all.reduce((a, b) => a + b, 0);
    return all.map((v) => (sum > 0 ? v / sum : 1 / all.length));
  }

  // Probability of each level, the reference first: one propagator shared by all levels.
  function category(indicators, x) {
    const prior = frequencies(indicators);
    const observed = observedIn(x, indicators);
    const { centres, pooled } = within(indicators, observed);
    // Unbiased within levels: one degree of freedom is spent on each mean.
    const unbiased = degrees / Math.max(count - fixed - prior.length, 1);
    const n = observed.length;
    const factor = linear.factor(pooled.map((v) => v * unbiased), n, [...observed.keys()]);
    const white = linear.whiten(factor, deviation(x, observed));
    const score = prior.map((share, level) => {
      const centre = linear.whiten(factor, centres[level]);
      return Math.log(share) + linear.dot(white, centre) - linear.dot(centre, centre) / 2;
    });
    const best = Math.max(...score);
    const weight = score.map((v) => Math.exp(v - best));
    const sum = weight.reduce((a, b) => a + b, 0);
    return weight.map((v) => v / sum);
  }

  // Mean of the observed fields in each level, less their overall mean, and their covariance within levels.
  function within(indicators, observed) {
    const factor = linear.factor(high, p, indicators);
    const halves = observed.map((j) => linear.whiten(factor, linear.column(high, p, indicators, j)));
    const coefficients = halves.map((half) => linear.unwhiten(factor, half));
    const n = observed.length;
    const pooled = new Float64Array(n * n);
    for (let a = 0; a < n; a++) {
      for (let b = 0; b <= a; b++) {
        const rest = high[observed[a] * p + observed[b]] - linear.dot(halves[a], halves[b]);
        pooled[a * n + b] = pooled[b * n + a] = a === b ? Math.max(rest, 0) : rest;
      }
    }
    const centres = [-1, ...indicators.keys()].map((level) => {
      const corner = Float64Array.from(indicators, (i, at) => (at === level ? 1 : 0) - mean[i]);
      return Float64Array.from(coefficients, (b) => linear.dot(b, corner));
    });
    return { centres, pooled };
  }

  return { p, mean, unknown, number, interval, category, frequencies, expectations, compensated: low !== null };
}
