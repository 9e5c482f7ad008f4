// The form: sends a listing, then follows its answer and what moved the price.

import { element, find } from "./dom.js";
import { dollars, duration, milliseconds, percent, signedDollars, words } from "./format.js";

const EXAMPLES = [
  { make_name: "Honda", model_name: "Civic", year: "2017", mileage: "31000", trim_name: "EX", body_type: "Sedan", fuel_type: "Gasoline", horsepower: "158" },
  { make_name: "Ford", model_name: "F-150", year: "2018", mileage: "42000", trim_name: "XLT SuperCrew 4WD", body_type: "Pickup Truck", fuel_type: "Gasoline", horsepower: "325" },
  { make_name: "Toyota", model_name: "RAV4", year: "2019", mileage: "18500", trim_name: "XLE AWD", body_type: "SUV / Crossover", fuel_type: "Gasoline", horsepower: "203" },
];
const MOVED_SHOWN = 10;
const PATIENCE_S = 5;

const form = find("form");
const result = find("result");
let examples = 0;
let following = null;
let clock = null;
let last = null;

export function startForm() {
  find("example").addEventListener("click", fillIn);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
}

function fillIn() {
  const example = EXAMPLES[examples++ % EXAMPLES.length];
  for (const [name, value] of Object.entries(example)) form.elements[name].value = value;
  form.elements.make_name.focus();
}

function listing() {
  const { more, ...columns } = Object.fromEntries(new FormData(form));
  const others = more.trim() ? JSON.parse(more) : {};
  if (Array.isArray(others) || typeof others !== "object" || others === null) throw new SyntaxError("not an object");
  return { ...others, ...Object.fromEntries(Object.entries(columns).filter(([, value]) => value !== "")) };
}

async function ask() {
  let columns;
  try {
    columns = listing();
  } catch {
    return fail('The other columns are no JSON object, such as {"transmission": "A"}.');
  }
  stop();
  last = { asked_at: Date.now() / 1000, answer: null, explanation: { state: "waiting" } };
  const begun = Date.now() / 1000;
  clock = setInterval(() => renderClocks(begun), 1000);
  render(begun);
  try {
    const response = await fetch("api/prices", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ listing: columns }),
    });
    const said = await response.json().catch(() => ({ error: `The page's server answered ${response.status}` }));
    if (!response.ok) return fail(said.error);
    follow(said.events, begun);
  } catch {
    fail("The page's server does not answer. Is it still running?");
  }
}

function follow(events, begun) {
  following = new EventSource(events);
  following.addEventListener("price", (event) => {
    last = JSON.parse(event.data);
    render(begun);
    if (last.done) stop();
  });
  following.addEventListener("error", () => {
    if (following?.readyState === EventSource.CLOSED) {
      stop();
      if (!last.answer) fail("Lost sight of this request: the page's server has started anew. It is answered all the same.");
    }
  });
}

function stop() {
  following?.close();
  clearInterval(clock);
  following = clock = null;
  result.setAttribute("aria-busy", "false");
}

// For those who listen: in a sentence what has come, rather than all of it each time.
function say(sentence) {
  if (find("said").textContent !== sentence) find("said").textContent = sentence;
}

function fail(reason) {
  stop();
  say(reason);
  result.replaceChildren(element("p", { class: "problem" }, reason));
}

function render(begun) {
  const { answer, explanation } = last;
  result.setAttribute("aria-busy", String(!last.done));
  say(summary(answer, explanation));
  if (!answer) return result.replaceChildren(waiting("Waiting for the answer", "waiting-for-answer"), renderHint(begun));
  if (answer.status === "rejected") {
    return result.replaceChildren(element("p", { class: "problem" }, `No price: ${answer.reason}`), source(answer));
  }
  return result.replaceChildren(...priced(answer), ...moved(explanation));
}

function summary(answer, { state }) {
  if (!answer) return "Waiting for the answer";
  if (answer.status === "rejected") return `No price: ${answer.reason}`;
  const price = `${dollars(answer.price)}, likely ${dollars(answer.low)} to ${dollars(answer.high)}`;
  return state === "explained" ? `${price}. What moved it is there.` : price;
}

function waiting(text, id) {
  return element(
    "p",
    { class: "progress", id },
    element("span", { class: "spinner", "aria-hidden": "true" }),
    `${text} `,
    element("span", { class: "elapsed", "aria-hidden": "true" }, ""),
  );
}

function renderHint(begun) {
  const long = Date.now() / 1000 - begun > PATIENCE_S;
  return element("p", { class: "note", id: "hint", hidden: !long }, "No server answers right now. The request stays in the topic and is answered as soon as one does.");
}

function renderClocks(begun) {
  const seconds = Date.now() / 1000 - begun;
  for (const elapsed of result.querySelectorAll(".elapsed")) elapsed.textContent = duration(Math.floor(seconds) || null);
  const hint = find("hint");
  if (hint) hint.hidden = seconds < PATIENCE_S;
  const bar = result.querySelector("progress");
  if (bar && last.explanation.since) {
    const usual = last.explanation.usual_s;
    bar.value = Math.min(0.95, (Date.now() / 1000 - last.explanation.since) / usual);
  }
}

function* priced(answer) {
  const members = Object.entries(answer.members ?? {});
  const amounts = [answer.price, answer.low, answer.high, ...members.map(([, price]) => price)].filter((one) => one !== null);
  const [least, most] = [Math.min(...amounts), Math.max(...amounts)];
  const place = (amount) => `${(100 * (amount - least)) / (most - least || 1)}%`;
  yield element(
    "div",
    { class: "answer" },
    element("p", { class: "price" }, dollars(answer.price)),
    element("p", { class: "interval" }, `${dollars(answer.low)} to ${dollars(answer.high)}`, element("span", { class: "soft" }, " · likely range")),
  );
  const range = element("span", { class: "range" });
  range.style.left = place(answer.low);
  range.style.width = `${(100 * (answer.high - answer.low)) / (most - least || 1)}%`;
  const dot = element("span", { class: "dot" });
  dot.style.left = place(answer.price);
  yield element("div", { class: "scale", "aria-hidden": "true" }, range, ...members.filter(([, price]) => price !== null).map(([, price]) => tick(place(price))), dot);
  yield element(
    "ul",
    { class: "members", "aria-label": "What each member says" },
    ...members.map(([name, price]) => element("li", {}, element("span", {}, words(name)), element("b", {}, dollars(price)))),
  );
  if (answer.reason) yield element("p", { class: "note" }, `Remark: ${answer.reason}`);
  yield source(answer);
}

function tick(left) {
  const made = element("span", { class: "tick" });
  made.style.left = left;
  return made;
}

function source(answer) {
  const { model_version: version, epoch, late_ms: late, partition, offset } = answer;
  return element(
    "p",
    { class: "note" },
    `by version ${version}, epoch ${epoch}, in ${milliseconds(late)}; request ${offset} of partition ${partition}`,
  );
}

function* moved(explanation) {
  yield element("h3", {}, "What moved it");
  switch (explanation.state) {
    case "waiting":
      yield waiting("Waiting for its turn");
      break;
    case "starting":
      yield waiting(`Starting the explainer, which takes about ${Math.round(explanation.usual_s)} s:`);
      yield element("progress", { max: 1, value: 0, "aria-label": "Starting" });
      break;
    case "explaining":
      yield waiting("Taking the model apart");
      break;
    case "failed":
      yield element("p", { class: "problem" }, `No explanation: ${explanation.reason}`);
      break;
    default:
      yield table(explanation);
  }
}

function table(explanation) {
  const shown = explanation.attributes.slice(0, MOVED_SHOWN);
  const rest = explanation.attributes.slice(MOVED_SHOWN);
  const most = Math.max(...shown.map((one) => Math.abs(one.dollars)), 1);
  const lines = shown.map((one) => line(words(one.attribute), valueOf(one), one.dollars, one.percent, most));
  if (rest.length) lines.push(line(`${rest.length} others`, "", rest.reduce((sum, one) => sum + one.dollars, 0), null, most));
  return element(
    "table",
    { class: "moved", "aria-label": "From an average listing to this one" },
    element("colgroup", {}, element("col"), element("col"), element("col")),
    element(
      "tbody",
      {},
      sum("an average listing", explanation.base),
      ...lines,
      sum("this listing", explanation.price),
    ),
  );
}

const sum = (name, amount) =>
  element("tr", { class: "sum" }, element("th", { scope: "row", colspan: 2 }, name), element("td", { class: "number" }, dollars(amount)));

function line(name, value, amount, ratio, most) {
  const bar = element("span", { class: amount < 0 ? "bar down" : "bar up" });
  bar.style.width = `${(50 * Math.min(1, Math.abs(amount) / most)).toFixed(1)}%`;
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, name, " ", element("span", { class: "soft" }, value)),
    element("td", { class: "bars", "aria-hidden": "true" }, bar),
    element("td", { class: "number", title: ratio === null ? null : percent(ratio) }, signedDollars(amount)),
  );
}

function valueOf({ attribute, columns, value }) {
  if (value === null || value === "" || value === "--" || value === "None") return columns.includes(attribute) ? "missing" : "";
  return value;
}
