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
    const error = new Error(said?.error ?? `The program answered with error ${response.status}.`);
    // How things stand now, if this page shows them as they were.
    throw Object.assign(error, { overview: said?.overview });
  }
  return response;
}

const json = async (path, body) => (await request(path, body)).json();

export const overview = () => json("overview");
export const image = async (slice) => new Uint8Array(await (await request(`image/${slice}`)).arrayBuffer());
export const look = (slice) => request("look", { slice });
// Each of these names what the page shows: the version of the slice's labels, or the review's revision.
export const decide = (slice, decision, version, answer) => json("decide", { slice, decision, version, answer });
export const undo = (revision) => json("undo", { revision });
export const save = (revision) => json("save", { revision });

/** Label values of a slice, two bytes each, the low one first, and their version. */
export async function labels(slice) {
  const response = await request(`labels/${slice}`);
  const view = new DataView(await response.arrayBuffer());
  return {
    labels: Uint16Array.from({ length: view.byteLength / 2 }, (_, pixel) => view.getUint16(2 * pixel, true)),
    version: Number(response.headers.get("labels-version")),
  };
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
