// Numbers and times as the page writes them; a dash where there is nothing.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const DASH = "–";
const MINUS = "−";

const given = (value) => value !== null && value !== undefined && Number.isFinite(value);

export const count = (value) => (given(value) ? whole.format(value) : DASH);

export const dollars = (value) =>
  given(value) ? `${value < 0 ? MINUS : ""}$${whole.format(Math.abs(value))}` : DASH;

export const signedDollars = (value) =>
  given(value) ? `${value < 0 ? MINUS : "+"}$${whole.format(Math.abs(value))}` : DASH;

export const share = (value) => (given(value) ? `${tenth.format(100 * value)} %` : DASH);

export const percent = (value) =>
  given(value) ? `${value < 0 ? MINUS : "+"}${tenth.format(Math.abs(value))} %` : DASH;

export const decimals = (value, digits) =>
  given(value) ? value.toFixed(digits).replace("-", MINUS) : DASH;

export const rate = (value) => (given(value) ? (value < 100 ? tenth : whole).format(value) : DASH);

export function milliseconds(value) {
  if (!given(value)) return DASH;
  if (value < 10_000) return `${whole.format(value)} ms`;
  return value < 100_000 ? `${tenth.format(value / 1000)} s` : duration(value / 1000);
}

export function duration(seconds) {
  if (!given(seconds)) return DASH;
  if (seconds < 10) return `${tenth.format(seconds)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 2 * 3600) return `${Math.round(seconds / 60)} min`;
  return seconds < 48 * 3600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

export function bytes(value) {
  if (!given(value)) return DASH;
  const units = ["B", "kB", "MB", "GB", "TB"];
  const unit = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  const scaled = value / 1000 ** unit;
  return `${unit > 0 && scaled < 10 ? tenth.format(scaled) : whole.format(scaled)} ${units[unit]}`;
}

// Unix seconds; the date goes before times of another day.
export function time(seconds) {
  if (!given(seconds)) return DASH;
  const date = new Date(seconds * 1000);
  const today = date.toDateString() === new Date().toDateString();
  return today ? clock.format(date) : `${day.format(date)}, ${clock.format(date)}`;
}

export const words = (name) => name.replace(/_name$/, "").replaceAll("_", " ");

export const zone = () => {
  const offset = -new Date().getTimezoneOffset() / 60;
  return offset === 0 ? "UTC" : `local (UTC${offset < 0 ? MINUS : "+"}${Math.abs(offset)})`;
};
