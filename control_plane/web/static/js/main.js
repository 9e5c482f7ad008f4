// Follows the server's events and shows each section; a section that depends on others is shown with theirs.

import { find, setText } from "./dom.js";
import { showDrift } from "./drift.js";
import { showErrors } from "./errors.js";
import { time, zone } from "./format.js";
import { startForm } from "./pricing.js";
import { showBatches, showModels, tick } from "./stories.js";
import { showLatency, showLiveError, showServing, showTraffic } from "./traffic.js";

const seen = {};
let open = false;
let ahead = 0; // of this machine's clock before the server's, seconds

const NO_ERRORS = { times: [], series: {}, latest: [], totals: {} };
const now = () => Date.now() / 1000 - ahead;

function show(changed) {
  const has = (...names) => names.includes(changed);
  const errors = seen.errors ?? NO_ERRORS;
  const why = whyEmpty();
  if (has("traffic")) {
    ahead = Date.now() / 1000 - seen.traffic.now;
    showTraffic(seen.traffic, seen.serving);
  }
  if (has("traffic", "serving") && seen.serving) showServing(seen.serving, now());
  if (has("errors", "serving")) showLiveError(errors, seen.serving);
  if (has("errors", "handovers", "models", "batches")) showErrors(errors, seen.handovers ?? [], why.errors);
  if (has("drift")) showDrift(seen.drift);
  if (has("latency", "handovers") && seen.latency) showLatency(seen.latency, seen.handovers ?? []);
  if (has("models", "errors", "batches") && seen.models) showModels(seen.models, errors.totals, why.models);
  if (has("batches") && seen.batches) showBatches(seen.batches, why.batches);
  if (has("kafka")) showConnection();
  tick(now());
}

function whyEmpty() {
  const training = seen.batches?.some((batch) => ["training", "waiting"].includes(batch.status));
  const models = training
    ? "No model yet: the first batch is being trained."
    : "No model yet: the first batch that arrives in HDFS is trained on.";
  return {
    models,
    batches: "No batch yet. Put one into HDFS as /batches/<name>/part-*.csv, then _SUCCESS.",
    errors: seen.models?.length ? "No window yet: errors show once managers report what cars really got." : models,
  };
}

function showConnection() {
  const problem = seen.kafka?.problem;
  const [state, text] = !open
    ? ["bad", "Not connected, trying again"]
    : problem === "connecting"
      ? ["waiting", "Reading the topics"]
      : problem
        ? ["bad", `Kafka since ${time(seen.kafka.since)}: ${problem}`]
        : ["good", "Live"];
  find("connection").dataset.state = state;
  setText("connection", text);
}

function follow() {
  const source = new EventSource("api/events");
  for (const name of ["kafka", "serving", "errors", "drift", "handovers", "batches", "models", "traffic", "latency"]) {
    source.addEventListener(name, (event) => {
      seen[name] = JSON.parse(event.data);
      show(name);
    });
  }
  source.addEventListener("open", () => {
    open = true;
    showConnection();
  });
  source.addEventListener("error", () => {
    open = false;
    showConnection();
    // A browser gives up where the answer was no stream, as from a proxy while the server starts anew.
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 2000);
  });
}

setText("zone", zone());
find("measure").addEventListener("change", () => show("errors"));
setInterval(() => tick(now()), 1000);
startForm();
follow();
