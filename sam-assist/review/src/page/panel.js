// All of the page but the slice itself: where one is, what was decided, what comes next.

const STATES = {
  predicted: "predicted", blank: "nothing found", drawn: "drawn by you", accepted: "accepted", rejected: "rejected",
  empty: "seen to be empty", proposed: "proposed",
};
/** What to do next, as the program names it. */
const ACTIONS = {
  correct: (slice) => `Next: correct slice ${slice}`,
  outline: (slice) => `Next: outline slice ${slice}, or say that it is empty`,
  accept: (slice) => `No slice needs a correction; next: accept slice ${slice}`,
};
/** From so many slices on there is no gap between their ticks. */
const DENSE = 150;

export const $ = (id) => document.getElementById(id);

function element(kind, attributes, ...children) {
  const made = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A slice's state, in the words of the style sheet. */
export function stateOf({ state, is_blank }, isProposed) {
  if (isProposed) return "proposed";
  return state === "predicted" && is_blank ? "blank" : state;
}

/** Makes what is there once: structures, ticks, the list. */
export function build(overview, { choose, show }) {
  document.title = `Review of ${overview.name}`;
  $("name").textContent = overview.name;
  $("slider").max = overview.slices.length - 1;
  $("ticks").classList.toggle("dense", overview.slices.length > DENSE);
  $("ticks").replaceChildren(...overview.slices.map(() => element("i", {})));
  $("structures").replaceChildren(...overview.structures.map(({ value, name, colour }) => {
    const dot = element("span", { class: "dot" });
    dot.style.background = colour;
    const button = element("button", { role: "radio", "data-value": value, title: `label value ${value}` }, dot, name);
    button.addEventListener("click", () => choose(value));
    return button;
  }));
  const { changes } = overview;
  $("changes").hidden = !changes;
  $("changes").textContent = changes?.text ?? "";
  const renewed = new Set(changes?.renewed);
  const isTrusted = overview.ranking.some(({ trust }) => trust !== null);
  $("list-title").textContent = isTrusted ? "To check, least trusted first" : "Slices";
  $("ranking").replaceChildren(...overview.ranking.map(({ slice, trust, reason }, place) => {
    const what = element("span", { class: "what" }, `Slice ${slice + 1}`, element("small", {}));
    const button = element("button", { "data-slice": slice, "data-reason": reason ?? "", "data-renewed": renewed.has(slice) },
      element("span", { class: "rank" }, `${place + 1}`), element("span", { class: "dot" }), what,
      element("span", { class: "trust", title: "how far the mask can be trusted, from 0 to 1" }, trust === null ? "" : trust.toFixed(2)));
    button.addEventListener("click", () => show(slice));
    return element("li", {}, button);
  }));
}

/** Shows how things stand. */
export function update(overview, { slice, structure, isProposed, hasClicks }) {
  const states = overview.slices.map((standing, index) => stateOf(standing, isProposed(index)));
  [...$("ticks").children].forEach((tick, index) => { tick.dataset.state = states[index]; });
  for (const button of $("structures").children) {
    button.setAttribute("aria-checked", Number(button.dataset.value) === structure);
  }
  for (const { firstChild: button } of $("ranking").children) {
    const index = Number(button.dataset.slice);
    button.dataset.state = states[index];
    // Why nobody should trust what was predicted, until somebody has decided on it.
    const isOpen = states[index] === "predicted" || states[index] === "blank";
    const reason = isOpen && button.dataset.reason ? `: ${button.dataset.reason}` : "";
    const anew = isOpen && button.dataset.renewed === "true" ? ", segmented again" : "";
    button.querySelector("small").textContent = STATES[states[index]] + anew + reason;
    if (index === slice) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
  $("slider").value = slice;
  $("slider").setAttribute("aria-valuetext", `Slice ${slice + 1}, ${STATES[states[slice]]}`);
  const dot = element("span", { class: "dot", "data-state": states[slice] });
  $("place").replaceChildren(dot, `Slice ${slice + 1} / ${overview.slices.length}`, element("span", { id: "state" }, STATES[states[slice]]));
  const { unsaved, out, next } = overview;
  $("next").hidden = !next;
  if (next) {
    $("next").dataset.slice = next.index;
    $("next").textContent = `${ACTIONS[next.action](next.index + 1)} (expected Dice ${next.trust.toFixed(2)}, ${Math.round(next.seconds)} s)`;
  }
  $("saved").textContent = unsaved ? `${unsaved} unsaved ${unsaved === 1 ? "change" : "changes"}` : `Goes to ${out}`;
  $("save").classList.toggle("due", unsaved > 0);
  $("accept").firstChild.textContent = hasClicks ? "Keep" : "Accept";
  $("reject").firstChild.textContent = hasClicks ? "Discard" : "Reject";
  $("undo").disabled = !hasClicks && !overview.can_undo;
  return states[slice];
}

/** Brings the current slice's row of the list into sight; the page itself stays where it is. */
export function reveal() {
  const list = $("ranking");
  const row = list.querySelector("[aria-current]")?.parentElement;
  if (!row) return;
  const [above, below] = [row.offsetTop, row.offsetTop + row.offsetHeight];
  if (above < list.scrollTop) list.scrollTop = above;
  else if (below > list.scrollTop + list.clientHeight) list.scrollTop = below - list.clientHeight;
}

let hiding;
/** Tells a person something, for a while. */
export function say(text, isWrong = false) {
  const toast = $("toast");
  toast.textContent = text;
  toast.classList.toggle("wrong", isWrong);
  toast.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => { toast.hidden = true; }, isWrong ? 9000 : 3500);
}
