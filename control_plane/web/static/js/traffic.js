// How answers are doing right now, and their latency over the last quarter of an hour.

import { TimeChart } from "./chart.js";
import { find, setText } from "./dom.js";
import { marksOf } from "./errors.js";
import { count, dollars, duration, milliseconds, rate, time } from "./format.js";

const SILENT_S = 5;
const colour = (name) => () => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const chart = new TimeChart(find("latency-chart"), { format: milliseconds, log: true });

export function showLatency(latency, handovers) {
  const any = latency.times.length > 0;
  find("latency-empty").hidden = any;
  find("latency-empty").textContent = "No request was answered in the last 15 minutes.";
  find("latency-chart").hidden = !any;
  if (!any) return;
  const atLeastOne = (values) => values.map((value) => (value === null ? null : Math.max(1, value)));
  const lines = [
    { name: "worst", colour: colour("--worst"), values: atLeastOne(latency.worst), width: 1 },
    { name: "99th percentile", colour: colour("--p99"), values: atLeastOne(latency.p99), width: 1.5 },
    { name: "median", colour: colour("--p50"), values: atLeastOne(latency.p50) },
  ];
  chart.show(latency.times, lines, marksOf(handovers));
  const [median, p99] = [latency.p50.at(-1), latency.p99.at(-1)].map(milliseconds);
  find("latency-chart").setAttribute("aria-label", `Latency over time; now: median ${median}, 99th percentile ${p99}`);
}

export function showTraffic(traffic, serving) {
  setText("p50", milliseconds(traffic.p50));
  setText(
    "p50-more",
    traffic.answered ? `p99 ${milliseconds(traffic.p99)} · worst ${milliseconds(traffic.worst)}` : "no answer in the last minute",
  );
  setText("rate", rate(traffic.rate));
  setText("rate-more", `${count(traffic.answered)} in a minute · ${count(traffic.rejected)} rejected`);
  const totals = traffic.totals ?? {};
  setText("total", count(totals.predictions));
  setText("total-more", `${count(totals.outcomes)} with a real price since`);
  showWaiting(traffic, serving);
}

function showWaiting(traffic, serving) {
  const silent = traffic.last_answer === null ? Infinity : traffic.now - traffic.last_answer;
  const stuck = traffic.waiting > 0 && silent > SILENT_S;
  find("waiting").closest(".figure").classList.toggle("alert", stuck);
  setText("waiting", count(traffic.waiting));
  if (stuck) {
    const since = Number.isFinite(silent) ? `no answer for ${duration(silent)}` : "no answer yet";
    setText("waiting-more", serving?.active ? since : `${since}: no server leads`);
  } else if (traffic.waiting > 0) setText("waiting-more", "being answered");
  else setText("waiting-more", traffic.last_answer === null ? "no request yet" : `last answer at ${time(traffic.last_answer)}`);
}

export function showServing(serving, now) {
  const { active, standby, starting } = serving;
  setText("version", active ? (active.model_version ? `Version ${active.model_version}` : "No model") : "Nobody");
  const others = [
    standby.length ? `${standby.length} standby` : null,
    starting.length ? `${starting.length} starting` : null,
  ].filter(Boolean);
  const leads = active ? [`epoch ${active.epoch ?? "–"}`, `for ${duration(Math.max(0, now - serving.since))}`] : ["no leader yet"];
  setText("version-more", [...leads, ...others].join(" · "));
}

// The version that serves may have no window yet.
const of = (window, serving) => (window.model_version === serving ? "" : ` · version ${window.model_version}`);

export function showLiveError(errors, serving) {
  const stacks = errors.latest.filter((window) => window.model === "stack");
  const version = serving?.active?.model_version;
  const window = stacks.find((one) => one.model_version === version) ?? stacks[0];
  setText("rmse", dollars(window?.rmse));
  setText(
    "rmse-more",
    window ? `MAE ${dollars(window.mae)} · ${count(window.count)} prices${of(window, version)}` : "no window of prices yet",
  );
}
