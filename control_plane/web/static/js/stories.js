// Models and batches, each with what happened to it, from the control topics.

import { element, find, moment, syncList } from "./dom.js";
import { swatch } from "./errors.js";
import { bytes, count, dollars, duration, time } from "./format.js";

const TONES = {
  serving: "good", trained: "good", failed: "bad", training: "busy", starting: "busy",
  waiting: "idle", registered: "idle", replaced: "idle",
};

export function showModels(models, totals, whyEmpty) {
  empty("models", models, whyEmpty);
  const rows = models.map((model) => ({ ...model, live: totals[model.model_version] ?? null }));
  syncList(find("models"), rows, (model) => model.model_version, (model) =>
    item(
      [swatch(model.model_version), `Version ${model.model_version}`],
      model,
      [
        model.batches?.length ? `trained on ${model.batches.join(", ")}` : null,
        model.live ? `live RMSE ${dollars(model.live.rmse)} over ${count(model.live.count)} prices` : null,
      ],
    ),
  );
}

export function showBatches(batches, whyEmpty) {
  empty("batches", batches, whyEmpty);
  syncList(find("batches"), batches, (batch) => batch.batch, (batch) =>
    item(
      [batch.batch],
      batch,
      [
        batch.bytes === undefined ? null : `${bytes(batch.bytes)} in ${count(batch.files)} ${batch.files === 1 ? "file" : "files"}`,
        batch.model_version ? `became version ${batch.model_version} in ${duration(batch.seconds)}` : null,
      ],
    ),
  );
}

function empty(name, rows, why) {
  const place = find(`${name}-empty`);
  place.hidden = rows.length > 0;
  if (place.textContent !== why) place.textContent = why;
}

function item(name, row, facts) {
  const busy = TONES[row.status] === "busy" ? row.story.findLast((told) => told.type.endsWith(".started")) : null;
  const status = element("span", { class: `status ${TONES[row.status] ?? "idle"}` }, row.status);
  if (busy) status.append(" ", element("span", { class: "clock", "data-since": busy.at }, ""));
  const more = row.status === "failed" && row.reason ? element("span", { class: "reason" }, row.reason) : null;
  return element(
    "li",
    {},
    element(
      "details",
      {},
      element(
        "summary",
        {},
        element("span", { class: "name" }, ...name),
        status,
        element("span", { class: "facts" }, facts.filter(Boolean).join(" · ")),
        more,
      ),
      element("ol", { class: "story" }, ...row.story.map(told)),
    ),
  );
}

function told({ at, type, seconds, what }) {
  const tone = type.endsWith(".failed") || type.endsWith(".degraded") ? "bad" : type.endsWith(".succeeded") ? "good" : "idle";
  return element(
    "li",
    { class: tone },
    moment(at, time(at)),
    element("span", { class: "event" }, type),
    element("span", { class: "what" }, [what, seconds === null ? "" : duration(seconds)].filter(Boolean).join(" · ")),
  );
}

// Every second, what goes on says for how long it has. `now` is the server's clock.
export function tick(now) {
  for (const clock of document.querySelectorAll(".clock")) {
    clock.textContent = duration(Math.max(0, now - Number(clock.dataset.since)));
  }
}
