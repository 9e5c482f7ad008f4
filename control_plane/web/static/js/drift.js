// How unlike the last window's values are to those of the training, the most unlike first.

import { element, find, setText } from "./dom.js";
import { count, decimals, dollars, share, time, words } from "./format.js";

const TONES = { stable: "good", moving: "busy", drifted: "bad" };
const FULL = 0.5; // the index of a full bar

export function showDrift({ model_version: version, window_end: end, features, expected }) {
  find("drift-card").hidden = features.length === 0 && !expected;
  find("drift-scroll").hidden = features.length === 0;
  setText("drift-window", features.length ? `version ${version}, window to ${time(end)}` : "too few values for an index");
  find("drift").tBodies[0].replaceChildren(...features.map(row));
  setText(
    "drift-expected",
    expected
      ? `By the widths of ${count(expected.count)} intervals, prices of version ${expected.model_version} should err by RMSE ${dollars(expected.rmse)}, MAE ${dollars(expected.mae)}.`
      : "",
  );
}

function row({ feature, psi, missing, count: values, word }) {
  const width = `${Math.min(100, (100 * psi) / FULL)}%`;
  const bar = element("span", { class: `bar ${TONES[word]}` });
  bar.style.width = width;
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, words(feature)),
    element("td", { class: "bars", "aria-hidden": "true" }, bar),
    element("td", {}, decimals(psi, 2)),
    element("td", {}, element("span", { class: `status ${TONES[word]}` }, word)),
    element("td", {}, share(missing)),
    element("td", {}, count(values)),
  );
}
