// Numbers, dates and shares as people read them.
const DAY = 86400000;
const MINUS = "\u2212";
const superscript = (n) => String(n).replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);

function grouped(value, decimals) {
  const text = value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  // Nothing is below zero by less than can be seen.
  return /[1-9]/.test(text) ? text.replace("-", MINUS) : text.replace("-", "");
}

// To some significant digits; very large and very small numbers as powers of ten.
function figures(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return grouped(value, 0);
  const size = Math.floor(Math.log10(Math.abs(Number(value.toPrecision(digits)))));
  if (size >= 7 || size < -4) {
    const [mantissa, power] = value.toExponential(Math.max(0, Math.min(digits, 3) - 1)).split("e");
    return `${mantissa.replace("-", MINUS)} × 10${superscript(Number(power))}`;
  }
  return grouped(value, Math.max(0, digits - 1 - size));
}

// The same without zeros at the end, for ticks and settings.
const short = (value, digits = 6) => figures(value, digits).replace(/(\.\d*?)0+(?=$| )/, "$1").replace(/\.(?=$| )/, "");

// Decimals that show three digits of a spread.
const decimalsFor = (spread) => (spread > 0 ? Math.min(12, Math.max(0, 2 - Math.floor(Math.log10(spread)))) : 2);

function near(value, spread) {
  if (!Number.isFinite(value)) return "–";
  const far = Math.abs(value) >= 1e9 || (value !== 0 && spread < 1e-5);
  return far || !(spread > 0) ? short(value) : grouped(value, decimalsFor(spread));
}

const percent = (share, digits = 3) => {
  if (share === null || share === undefined) return "–";
  if (share > 0 && share < 0.001) return "< 0.1 %";
  return `${figures(100 * share, share >= 0.995 ? 4 : share < 0.1 ? 2 : digits)} %`;
};

const count = (value) => grouped(Math.round(value), 0);
const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

// What a number of days is in a column of dates or times, as its input takes it.
function moment(days, shape) {
  if (!Number.isFinite(days)) return "";
  if (shape === "duration") return String(days);
  const date = new Date(Math.round(shape === "time" ? (((days % 1) + 1) % 1) * DAY : days * DAY));
  if (Number.isNaN(date.getTime())) return "";
  const text = date.toISOString();
  if (shape === "date") return text.slice(0, 10);
  return shape === "time" ? text.slice(11, 19) : text.slice(0, 19);
}

// A value of a column for reading; `spread` sets the decimals of numbers.
function cell(column, value, spread) {
  if (column.levels) return column.levels[value];
  if (column.shape === "number") return near(value, spread);
  if (column.shape === "duration") return `${near(value, spread)} d`;
  return moment(value, column.shape).replace("T", " ") || near(value, spread);
}
const isMoment = (column) => ["date", "datetime", "time"].includes(column.shape);
