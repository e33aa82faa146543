// The review page: what a person does, and in which order the program is told.

import * as desk from "./desk.js";
import { $, build, reveal, say, update } from "./panel.js";
import { Stage, imageOf, overlayOf } from "./view.js";

/** Slices kept in the browser. */
const MOST_KEPT = 200;
/** Slices to either side that are fetched in advance. */
const AHEAD = 3;
/** Movement in pixels that makes a box of a click. */
const DRAG = 5;
/** Turning of the wheel, in pixels, that goes one slice. */
const WHEEL = 60;

const canvas = $("canvas");
let overview, stage, structure;
let slice = 0;
let isHidden = false;
let drag = null;
/** What was drawn and not kept yet, by slice and structure. */
const proposals = new Map();

/** What is fetched for each slice. `get` gives what is there; what is not comes, and is drawn then. */
class Store {
  constructor(load) {
    Object.assign(this, { load, kept: new Map(), coming: new Map() });
  }

  get(index) {
    if (!this.kept.has(index) && !this.coming.has(index)) this.renew(index);
    return this.kept.get(index);
  }

  /** Fetches what may have changed; what is there is shown until then. Done once it has come, or has failed. */
  renew(index) {
    const coming = this.load(index);
    this.coming.set(index, coming);
    const isLatest = () => this.coming.get(index) === coming;
    return coming.then((value) => {
      if (!isLatest()) return;
      this.put(index, value);
      if (index === slice) render();
    }, (error) => {
      if (isLatest()) this.coming.delete(index);
      say(error.message, true);
    });
  }

  put(index, value) {
    this.coming.delete(index);
    this.kept.set(index, value);
    if (this.kept.size > MOST_KEPT) this.kept.delete(this.kept.keys().next().value);
  }
}

const overlay = (labels) => overlayOf(labels, overview.rows, overview.columns, overview.structures);
const images = new Store(async (index) => imageOf(await desk.image(index), overview.rows, overview.columns));
/** What is drawn of a slice's labels, and their version. */
const overlays = new Store(async (index) => {
  for (;;) {
    const { labels, version } = await desk.labels(index);
    // If the slice has changed while they came, they are fetched again.
    if (!(version < overview.slices[index].version)) return { picture: overlay(labels), version };
  }
});

// What is proposed

const key = (index) => `${index}/${structure}`;
const proposal = () => proposals.get(key(slice));
const isProposed = (index) => overview.structures.some(({ value }) => proposals.has(`${index}/${value}`));

/** The program is told one thing after the other, in the order in which a person did them. */
let turn = Promise.resolve();
const inTurn = (work) => (turn = turn.then(work).catch(refused).then(render));

function refused(error) {
  if (error.overview) take(error.overview);
  say(error.message, true);
}

function propose(click) {
  if (!proposal()) proposals.set(key(slice), { slice, structure, clicks: [] });
  proposal().clicks = [...proposal().clicks, click];
  answer(proposal());
}

/** Has the clicks of a proposal answered, the latest only if several have come meanwhile. */
function answer(asked) {
  const since = performance.now();
  $("answered").textContent = "…";
  render();
  inTurn(() => askNow(asked, since));
}

async function askNow(asked, since) {
  const { clicks } = asked;
  if (clicks === asked.answeredTo || !clicks.length) return;
  const { labels, answer, version, milliseconds } = await desk.ask(asked.slice, asked.structure, clicks);
  Object.assign(asked, { answer, version, labels, overlay: overlay(labels), answeredTo: clicks });
  latest = answer;
  if (!proposals.has(`${asked.slice}/${asked.structure}`)) return;
  render();
  const waited = Math.round(performance.now() - since);
  $("answered").textContent = `answered in ${waited} ms`;
  $("answered").title = `${milliseconds} ms of it in the model`;
}
/** The number of the answer that the program has at hand, until something is decided. */
let latest = null;

// What is decided

const LOOK_AGAIN = "This slice has changed, or was not shown yet: look at it as it is now, then decide.";

/** Takes over how things stand now. Labels that have changed are fetched again; done once those of the slice that is shown have come. */
function take(next) {
  overview = next;
  latest = null;
  for (const [index, { version }] of [...overlays.kept]) {
    if (version < next.slices[index].version && index !== slice) overlays.kept.delete(index);
  }
  return overlays.kept.get(slice)?.version < next.slices[slice].version ? overlays.renew(slice) : null;
}

/** Decides on the labels that are shown, and on no others: they are named by their version. */
function decide(decision) {
  const index = slice;
  const shown = overlays.kept.get(index)?.picture;
  inTurn(async () => {
    const labels = overlays.kept.get(index);
    if (!shown || labels?.picture !== shown) throw new Error(LOOK_AGAIN);
    const next = await desk.decide(index, decision, labels.version);
    // To accept changes no label.
    if (decision === "accept") overlays.put(index, { picture: shown, version: next.slices[index].version });
    await take(next);
  });
}

/** Keeps the proposal, or finds right what stands. */
function accept() {
  const kept = proposal();
  if (!kept) return decide("accept");
  const index = slice;
  const shown = kept.answeredTo === kept.clicks ? kept.labels : null;
  inTurn(async () => {
    // The program knows its last answer only, and forgets it when something is decided.
    if (kept.answer !== latest) kept.answeredTo = null;
    await askNow(kept, performance.now());
    if (!shown || kept.labels.some((label, pixel) => label !== shown[pixel])) throw new Error(LOOK_AGAIN);
    const next = await desk.decide(index, "keep", kept.version, kept.answer);
    overlays.put(index, { picture: kept.overlay, version: next.slices[index].version });
    proposals.delete(`${kept.slice}/${kept.structure}`);
    take(next);
  });
}

/** Discards the proposal, or finds wrong what stands. */
const reject = () => (proposal() ? discard() : decide("reject"));

function discard() {
  proposals.delete(key(slice));
  $("answered").textContent = "";
  render();
}

function empty() {
  for (const { value } of overview.structures) proposals.delete(`${slice}/${value}`);
  decide("empty");
}

/** Takes back the last click, or else the last decision. */
function undo() {
  const current = proposal();
  if (current?.clicks.length > 1) {
    current.clicks = current.clicks.slice(0, -1);
    return answer(current);
  }
  if (current) return discard();
  inTurn(async () => {
    const undone = await desk.undo(overview.revision);
    await take(undone.overview);
    if (undone.slice === null) return say("There is nothing to undo.");
    show(undone.slice);
  });
}

function save() {
  inTurn(async () => {
    const { saved, overview: next } = await desk.save(overview.revision);
    take(next);
    const notes = [saved.note ?? `Saved to ${saved.path}.`];
    if (saved.left_out.length) notes.push(`Rejected slices are left out: ${saved.left_out.map((index) => index + 1).join(", ")}.`);
    if (proposals.size) notes.push("What is proposed and not kept is not in it.");
    say(notes.join(" "), Boolean(saved.note));
  });
}

// What is shown

function render() {
  if (!overview) return;
  const current = proposal();
  const state = update(overview, { slice, structure, isProposed, hasClicks: Boolean(current) });
  const labels = overlays.get(slice);
  const shown = current?.overlay ?? labels?.picture;
  const image = images.get(slice);
  stage.draw({
    image,
    overlay: shown,
    opacity: isHidden ? 0 : $("opacity").value / 100,
    clicks: current?.clicks ?? [],
    box: drag?.box,
    isProposal: Boolean(current?.overlay),
    isRejected: state === "rejected",
  });
  Object.assign(canvas.dataset, { slice, state, ready: Boolean(image && shown && !overlays.coming.has(slice)) });
}

let looking;
function show(index) {
  const next = Math.min(Math.max(index, 0), overview.slices.length - 1);
  if (next !== slice) $("answered").textContent = "";
  slice = next;
  render();
  reveal();
  clearTimeout(looking);
  looking = setTimeout(() => {
    desk.look(slice).catch((error) => say(error.message, true));
    history.replaceState(null, "", `#${slice + 1}`);
    for (let distance = 1; distance <= AHEAD; distance++) {
      for (const near of [slice + distance, slice - distance]) {
        if (near >= 0 && near < overview.slices.length) { images.get(near); overlays.get(near); }
      }
    }
  }, 60);
}

function choose(value) {
  structure = value;
  render();
}

/** Goes to the next slice of the list that nobody has decided on. */
function next() {
  const order = overview.ranking.map((ranked) => ranked.slice);
  const place = order.indexOf(slice);
  const open = (index) => overview.slices[index].state === "predicted" && index !== slice;
  const found = [...order.slice(place + 1), ...order.slice(0, place + 1)].find(open);
  found === undefined ? say("Every slice of the list is decided on.") : show(found);
}

// Mouse

const isOnSlice = (event) => {
  const { x, y } = stage.place(event);
  const [left, top] = stage.at({ x, y });
  const bounds = canvas.getBoundingClientRect();
  return Math.hypot(event.clientX - bounds.left - left, event.clientY - bounds.top - top) < 1;
};

function boxTo(event) {
  const [from, to] = [drag.from, stage.place(event)];
  return {
    x_min: Math.min(from.x, to.x), y_min: Math.min(from.y, to.y), x_max: Math.max(from.x, to.x), y_max: Math.max(from.y, to.y),
  };
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button === 1) canvas.setPointerCapture(event.pointerId);
  if (event.button !== 0 && event.button !== 2) return;
  const isBeside = event.button === 2 || event.shiftKey;
  drag = { isBeside, isOnSlice: isOnSlice(event), from: stage.place(event), start: [event.clientX, event.clientY] };
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  if (event.buttons === 4) {
    stage.pan(event.movementX, event.movementY);
    return render();
  }
  if (!drag || drag.isBeside) return;
  const [x, y] = drag.start;
  if (!drag.box && Math.hypot(event.clientX - x, event.clientY - y) < DRAG) return;
  drag.box = boxTo(event);
  render();
});
canvas.addEventListener("pointerup", () => {
  if (!drag) return;
  const { box, from, isBeside, isOnSlice: isOn } = drag;
  drag = null;
  if (box) propose(box);
  else if (isOn) propose({ ...from, label: isBeside ? "background" : "foreground" });
});
canvas.addEventListener("pointercancel", () => { drag = null; render(); });
canvas.addEventListener("contextmenu", (event) => event.preventDefault());

let turned = 0;
function wheel(event) {
  event.preventDefault();
  const moved = event.deltaMode ? event.deltaY * 30 : event.deltaY;
  if (event.ctrlKey) {
    stage.zoomAt(event, Math.exp(-moved / 200));
    return render();
  }
  turned += moved;
  const steps = Math.trunc(turned / WHEEL);
  turned -= steps * WHEEL;
  if (steps) show(slice + steps);
}
document.querySelector(".stage").addEventListener("wheel", wheel, { passive: false });
document.querySelector(".track").addEventListener("wheel", wheel, { passive: false });

// Keys and controls

const KEYS = {
  ArrowUp: () => show(slice + 1), ArrowRight: () => show(slice + 1),
  ArrowDown: () => show(slice - 1), ArrowLeft: () => show(slice - 1),
  PageUp: () => show(slice + 10), PageDown: () => show(slice - 10),
  Home: () => show(0), End: () => show(overview.slices.length - 1),
  a: accept, r: reject, e: empty, n: next, z: undo, u: undo, s: save, Escape: discard, 0: () => { stage.reset(); render(); },
};

document.addEventListener("keydown", (event) => {
  if (!overview || event.altKey) return;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if ((event.ctrlKey || event.metaKey) && name !== "z" && name !== "s") return;
  // A slider moves by its own keys.
  if (event.target.type === "range" && event.key.length > 1) return;
  if (name === "h") {
    isHidden = true;
    return render();
  }
  const chosen = overview.structures[Number(name) - 1];
  const act = chosen ? () => choose(chosen.value) : KEYS[name];
  if (!act) return;
  event.preventDefault();
  // Held keys scroll; nothing else is meant to happen many times.
  if (!event.repeat || name.startsWith("Arrow") || name.startsWith("Page")) act();
});
document.addEventListener("keyup", (event) => {
  if (event.key.toLowerCase() !== "h") return;
  isHidden = false;
  render();
});

for (const [id, act] of Object.entries({ accept, reject, empty, undo, save })) $(id).addEventListener("click", act);
$("next").addEventListener("click", () => show(Number($("next").dataset.slice)));
$("slider").addEventListener("input", () => show(Number($("slider").value)));
$("opacity").addEventListener("input", render);
// Afterwards the arrow keys move through slices again.
for (const id of ["slider", "opacity"]) $(id).addEventListener("pointerup", () => $(id).blur());
addEventListener("hashchange", () => show((Number(location.hash.slice(1)) || 1) - 1));
addEventListener("beforeunload", (event) => proposals.size && event.preventDefault());

try {
  overview = await desk.overview();
  structure = overview.structures[0].value;
  stage = new Stage(canvas, overview);
  build(overview, { choose, show });
  new ResizeObserver(() => { stage.fit(); render(); }).observe(canvas);
  const first = location.hash ? Number(location.hash.slice(1)) - 1 : overview.ranking[0]?.slice;
  show(Number.isInteger(first) ? first : 0);
} catch (error) {
  say(error.message, true);
}
