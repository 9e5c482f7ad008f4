// A chart over time that follows the colour scheme and the width, with hand-overs marked on its time axis.

const dark = matchMedia("(prefers-color-scheme: dark)");
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export const versionColour = (version) => css(`--series-${((version - 1) % 6) + 1}`);

const HEIGHT = 240;

export class TimeChart {
  // `format` writes a value; `log` asks for a logarithmic scale.
  constructor(place, { format, log = false }) {
    this.place = place;
    this.format = format;
    this.log = log;
    this.key = null;
    this.shown = null;
    new ResizeObserver(() => this.#fit()).observe(place);
    dark.addEventListener("change", () => this.#rebuild());
  }

  // `lines`: [{name, colour: () => string, values, dash?, width?}], `marks`: [{at, label, colour: () => string, dash?}].
  show(times, lines, marks, format = this.format) {
    this.shown = { times, lines, marks, format };
    const key = lines.map((line) => line.name).join("\n") + format.name;
    if (this.plot && key === this.key) this.plot.setData(this.#data());
    else this.#rebuild();
    this.key = key;
  }

  #data() {
    return [this.shown.times, ...this.shown.lines.map((line) => line.values)];
  }

  #width() {
    return Math.max(200, Math.floor(this.place.clientWidth));
  }

  #fit() {
    if (this.plot && this.plot.width !== this.#width()) this.plot.setSize({ width: this.#width(), height: HEIGHT });
  }

  #rebuild() {
    if (!this.shown) return;
    this.plot?.destroy();
    this.plot = new uPlot(this.#options(), this.#data(), this.place);
  }

  #options() {
    const font = `12px ${css("--font")}`;
    const axis = { stroke: css("--muted"), font, ticks: { show: false }, grid: { stroke: css("--grid"), width: 1 } };
    return {
      width: this.#width(),
      height: HEIGHT,
      padding: [20, 30, 0, 0],
      legend: { live: true, markers: { width: 0, fill: (_, series) => (series ? this.shown.lines[series - 1].colour() : "transparent") } },
      cursor: { points: { size: 6 }, drag: { x: false, y: false } },
      scales: { x: { time: true, range: spread }, y: this.log ? { distr: 3, range: decades } : { range: fromZero } },
      axes: [
        { ...axis, space: 70, size: 32, values: clockOf },
        {
          ...axis,
          size: 62,
          values: (_, splits) => splits.map((value) => (value === null ? "" : this.shown.format(value))),
          ...(this.log ? { splits: powersOfTen } : {}),
        },
      ],
      series: [
        { label: "Time", value: (_, seconds) => (seconds === null ? "latest" : clockText(seconds, true)) },
        ...this.shown.lines.map((line) => ({
          label: line.name,
          stroke: line.colour(),
          width: line.width ?? 2,
          dash: line.dash,
          spanGaps: false,
          points: { show: lonely, size: 5, fill: line.colour() },
          value: (plot, value, series, index) => this.shown.format(index === null ? last(plot.data[series]) : value),
        })),
      ],
      hooks: { draw: [(plot) => drawMarks(plot, this.shown.marks, font)] },
    };
  }
}

const last = (values) => values.findLast((value) => value !== null) ?? null;

const clockText = (seconds, exact) =>
  new Date(seconds * 1000).toLocaleTimeString("en-GB", {
    hour: "2-digit",
    minute: "2-digit",
    ...(exact ? { second: "2-digit" } : {}),
  });

const clockOf = (_, splits, __, ___, step) => splits.map((seconds) => clockText(seconds, step < 60));

const fromZero = (_, __, most) => [0, most > 0 ? most * 1.12 : 1];

const decades = (_, least, most) => [
  10 ** Math.floor(Math.log10(Math.max(1, least ?? 1))),
  10 ** Math.ceil(Math.log10(Math.max(10, (most ?? 10) + 1))),
];

// A single window still has a width.
const spread = (_, from, to) => (from === null ? [0, 1] : from === to ? [from - 60, to + 60] : [from, to]);

const powersOfTen = (_, __, least, most) => {
  const powers = [];
  for (let power = least; power <= most * 1.001; power *= 10) powers.push(power);
  return powers;
};

// Points show where a line has gaps or few values; a dense line needs none.
const lonely = (plot, series) => {
  const values = plot.data[series].filter((value) => value !== null);
  return values.length > 0 && values.length < 40;
};

function drawMarks(plot, marks, font) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio || 1;
  let free = Infinity; // to the left of this nothing is written yet
  ctx.save();
  ctx.font = font.replace(/^(\d+)px/, (_, size) => `600 ${(size - 1) * ratio}px`);
  ctx.textBaseline = "bottom";
  ctx.textAlign = "left";
  for (const mark of marks.toReversed()) {
    if (mark.at < plot.scales.x.min || mark.at > plot.scales.x.max) continue;
    const x = Math.round(plot.valToPos(mark.at, "x", true));
    ctx.strokeStyle = ctx.fillStyle = mark.colour();
    ctx.lineWidth = 1.5 * ratio;
    ctx.setLineDash((mark.dash ?? []).map((length) => length * ratio));
    ctx.beginPath();
    ctx.moveTo(x, bbox.top - 2 * ratio);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.beginPath();
    ctx.moveTo(x - 5 * ratio, bbox.top + bbox.height + 6 * ratio);
    ctx.lineTo(x + 5 * ratio, bbox.top + bbox.height + 6 * ratio);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.fill();
    const width = ctx.measureText(mark.label).width;
    const left = Math.min(Math.max(x - width / 2, bbox.left), bbox.left + bbox.width - width);
    if (left + width < free) {
      ctx.fillText(mark.label, left, bbox.top - 3 * ratio);
      free = left - 8 * ratio;
    }
  }
  ctx.restore();
}
