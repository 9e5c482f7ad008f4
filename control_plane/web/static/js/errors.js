// Live errors by model version over time, and the last window of every model.

import { TimeChart, versionColour } from "./chart.js";
import { element, find } from "./dom.js";
import { count, decimals, dollars, share, signedDollars, time, words } from "./format.js";

const MEASURES = {
  rmse: ["RMSE", dollars],
  mae: ["MAE", dollars],
  mape: ["MAPE", share],
  coverage: ["In range", share],
};
const VERSIONS_IN_TABLE = 2;
const VERSIONS_DRAWN = 6;

const chart = new TimeChart(find("errors-chart"), { format: dollars });

export const measure = () => document.querySelector("input[name=measure]:checked").value;

export function marksOf(handovers) {
  return handovers.map(({ at, model_version: version, epoch, replaces }) => ({
    at,
    label: version === replaces ? `epoch ${epoch}` : `version ${version}`,
    colour: () => versionColour(version),
    dash: version === replaces ? [3, 4] : undefined,
  }));
}

export function showErrors(errors, handovers, whyEmpty) {
  const any = errors.times.length > 0;
  find("errors-empty").hidden = any;
  find("errors-empty").textContent = any ? "" : whyEmpty;
  find("errors-chart").hidden = find("latest-scroll").hidden = !any;
  if (!any) return;
  const [name, format] = MEASURES[measure()];
  const versions = Object.keys(errors.series).map(Number).sort((a, b) => a - b).slice(-VERSIONS_DRAWN);
  const lines = versions.map((version) => ({
    name: `Version ${version}`,
    colour: () => versionColour(version),
    values: errors.series[version][measure()],
  }));
  chart.show(errors.times, lines, marksOf(handovers), format);
  describe(errors, handovers, name, format);
  find("latest").tBodies[0].replaceChildren(...rows(errors.latest));
}

function describe(errors, handovers, name, format) {
  const now = errors.latest
    .filter((window) => window.model === "stack")
    .map((window) => `version ${window.model_version} ${format(window[measure()])}`);
  const to = handovers.slice(-3).map(({ at, model_version: version }) => `to version ${version} at ${time(at)}`);
  const marked = to.length ? `; hand-overs: ${to.join(", ")}` : "";
  find("errors-chart").setAttribute("aria-label", `Live ${name} over time; last windows: ${now.join(", ")}${marked}`);
}

function* rows(latest) {
  const versions = [...new Set(latest.map((window) => window.model_version))].slice(0, VERSIONS_IN_TABLE);
  for (const window of latest.filter((one) => versions.includes(one.model_version))) {
    const stack = window.model === "stack";
    const name = stack
      ? [swatch(window.model_version), `Version ${window.model_version}`, element("span", { class: "soft" }, ` to ${time(window.window_end)}`)]
      : [words(window.model)];
    yield element(
      "tr",
      { class: stack ? "stack" : "member" },
      element("th", { scope: "row" }, ...name),
      ...[
        count(window.count),
        dollars(window.rmse),
        dollars(window.mae),
        share(window.mape),
        signedDollars(window.bias),
        decimals(window.r2, 3),
        share(window.coverage),
      ].map((text) => element("td", {}, text)),
    );
  }
}

export function swatch(version) {
  return element("span", { class: `swatch series-${((version - 1) % 6) + 1}`, "aria-hidden": "true" });
}
