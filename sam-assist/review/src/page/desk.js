// What can be asked of the program behind the page, all of it under the page's own address.

async function request(path, body) {
  const options = { cache: "no-store" };
  if (body) Object.assign(options, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The program does not answer: has it ended? What it saved is safe.");
  }
  if (!response.ok) {
    const said = await response.json().catch(() => null);
    throw new Error(said?.error ?? `The program answered with error ${response.status}.`);
  }
  return response;
}

const json = async (path, body) => (await request(path, body)).json();

export const overview = () => json("overview");
export const image = async (slice) => new Uint8Array(await (await request(`image/${slice}`)).arrayBuffer());
export const look = (slice) => request("look", { slice });
export const decide = (slice, decision, answer) => json("decide", { slice, decision, answer });
export const undo = () => json("undo", {});
export const save = () => json("save", {});

/** Label values of a slice, two bytes each, the low one first. */
export async function labels(slice) {
  const view = new DataView(await (await request(`labels/${slice}`)).arrayBuffer());
  return Uint16Array.from({ length: view.byteLength / 2 }, (_, pixel) => view.getUint16(2 * pixel, true));
}

/** Asks for a structure; of the answer, the runs of label values become label values. */
export async function ask(slice, structure, clicks) {
  const points = clicks.filter((click) => "label" in click);
  const boxes = clicks.filter((click) => !("label" in click));
  const answer = await json("ask", { slice, structure, points, boxes });
  const length = answer.runs.reduce((sum, part, at) => (at % 2 ? sum + part : sum), 0);
  const found = new Uint16Array(length);
  for (let at = 0, pixel = 0; at < answer.runs.length; at += 2) {
    found.fill(answer.runs[at], pixel, pixel += answer.runs[at + 1]);
  }
  return { ...answer, labels: found };
}
