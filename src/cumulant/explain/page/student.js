// Student's t with ν degrees of freedom. With t = √ν sinh s its density is proportional to cosh^(−ν) s, analytic
// about the whole line for every ν from Cauchy to normal, so one Gauss–Legendre rule integrates it to rounding and
// no incomplete beta function has to be evaluated near its branch points, nor inverted.
const student = (() => {
  const rule = gaussLegendre(40);

  function gaussLegendre(n) {
    const nodes = [];
    const weights = [];
    for (let i = 0; i < n; i++) {
      let x = Math.cos((Math.PI * (i + 0.75)) / (n + 0.5));
      let slope = 1;
      for (let step = 0; step < 100; step++) {
        let [before, here] = [1, x];
        for (let k = 2; k <= n; k++) [before, here] = [here, ((2 * k - 1) * x * here - (k - 1) * before) / k];
        slope = (n * (x * here - before)) / (x * x - 1);
        const move = here / slope;
        x -= move;
        if (Math.abs(move) < 1e-16) break;
      }
      nodes.push((1 + x) / 2);
      weights.push(1 / ((1 - x * x) * slope * slope));
    }
    return { nodes, weights };
  }

  // ln Γ(x + ½) − ln Γ(x): the difference of two large logarithms, so never formed as one.
  function logGammaHalfStep(x) {
    let shift = 0;
    for (; x < 24; x++) shift += Math.log(x / (x + 0.5));
    const y = 1 / (x * x);
    const series = -1 / 8 + y * (1 / 192 + y * (-1 / 640 + y * (17 / 14336 - (y * 31) / 18432)));
    return shift + Math.log(x) / 2 + series / x;
  }

  const shape = (s, nu) => Math.exp((-nu / 2) * Math.log1p(Math.sinh(s) ** 2));
  // Twice the density of s at 0.
  const peak = (nu) => (2 * Math.exp(logGammaHalfStep(nu / 2))) / Math.sqrt(Math.PI);

  function logDensity(t, nu) {
    const constant = logGammaHalfStep(nu / 2) - Math.log(nu * Math.PI) / 2;
    return constant - ((nu + 1) / 2) * Math.log1p((t * t) / nu);
  }

  // P(|T| ≤ √ν sinh s)
  function central(s, nu) {
    let sum = 0;
    rule.nodes.forEach((node, i) => { sum += rule.weights[i] * shape(node * s, nu); });
    return peak(nu) * s * sum;
  }

  // The t with P(|T| ≤ t) = level. The central probability is concave in s, so Newton's steps from zero never pass
  // the root.
  function halfWidth(level, nu) {
    let s = 0;
    for (let step = 0; step < 200; step++) {
      const move = (level - central(s, nu)) / (peak(nu) * shape(s, nu));
      s += move;
      if (!(move > 1e-16 * s)) break;
    }
    return Math.sqrt(nu) * Math.sinh(s);
  }

  return { logDensity, halfWidth, density: (t, nu) => Math.exp(logDensity(t, nu)) };
})();
