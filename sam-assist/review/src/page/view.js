// Draws a slice: the image, the structures upon it, clicks and boxes.

const CLICK_RADIUS = 6;
const MOST_ZOOM = 12;

/** The colour `#rrggbb` as three numbers. */
const rgb = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

/** A picture of the size of a slice, to be drawn at any size. */
function picture(rows, columns, paint) {
  const canvas = new OffscreenCanvas(columns, rows);
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(columns, rows);
  paint(pixels.data);
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/** Levels of one channel or three as a picture. */
export function imageOf(levels, rows, columns) {
  const channels = levels.length / (rows * columns);
  return picture(rows, columns, (data) => {
    for (let pixel = 0; pixel < rows * columns; pixel++) {
      for (let colour = 0; colour < 3; colour++) {
        data[4 * pixel + colour] = levels[channels * pixel + Math.min(colour, channels - 1)];
      }
      data[4 * pixel + 3] = 255;
    }
  });
}

/** Label values as a picture of filled structures, and the edges around each. */
export function overlayOf(labels, rows, columns, structures) {
  const colours = new Map(structures.map(({ value, colour }) => [value, rgb(colour)]));
  const fill = picture(rows, columns, (data) => {
    labels.forEach((label, pixel) => {
      const colour = colours.get(label);
      if (colour) data.set([...colour, 255], 4 * pixel);
    });
  });
  const shown = new Set(labels);
  const edges = structures.filter(({ value }) => shown.has(value));
  return { fill, edges: edges.map(({ value, colour }) => ({ colour, path: edgesOf(labels, rows, columns, value) })) };
}

/** The sides of pixels at which a structure ends, in pixels of the slice. */
function edgesOf(labels, rows, columns, value) {
  const path = new Path2D();
  const inside = (row, column) =>
    row >= 0 && column >= 0 && row < rows && column < columns && labels[row * columns + column] === value;
  for (let row = 0; row <= rows; row++) {
    for (let column = 0; column <= columns; column++) {
      const here = inside(row, column);
      if (here !== inside(row - 1, column)) {
        path.moveTo(column, row);
        path.lineTo(column + 1, row);
      }
      if (here !== inside(row, column - 1)) {
        path.moveTo(column, row);
        path.lineTo(column, row + 1);
      }
    }
  }
  return path;
}

/** The canvas, with a slice fitted into it in its true proportions. */
export class Stage {
  constructor(canvas, { rows, columns, spacing_mm: [down, across] }) {
    Object.assign(this, { canvas, rows, columns, down, across, context: canvas.getContext("2d") });
    this.reset();
  }

  /** Shows the whole slice. */
  reset() {
    Object.assign(this, { zoom: 1, shift: { x: 0, y: 0 } });
    this.fit();
  }

  /** Follows the canvas's size on the screen. */
  fit() {
    const { width, height } = this.canvas.getBoundingClientRect();
    const density = devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(width * density));
    this.canvas.height = Math.max(1, Math.round(height * density));
    const side = this.zoom * Math.min(width / (this.columns * this.across), height / (this.rows * this.down));
    this.density = density;
    this.scale = { x: side * this.across, y: side * this.down };
    // The slice's middle stays within the window.
    const within = (shift, size) => Math.min(Math.max(shift, -size / 2), size / 2);
    this.shift = { x: within(this.shift.x, this.columns * this.scale.x), y: within(this.shift.y, this.rows * this.scale.y) };
    this.origin = {
      x: (width - this.columns * this.scale.x) / 2 + this.shift.x, y: (height - this.rows * this.scale.y) / 2 + this.shift.y,
    };
  }

  /** Enlarges by a factor; what is under the pointer stays there. */
  zoomAt(event, factor) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    const zoom = Math.min(Math.max(this.zoom * factor, 1), MOST_ZOOM);
    const moved = (at, middle, shift) => at - middle - (at - middle - shift) * (zoom / this.zoom);
    this.shift = {
      x: moved(event.clientX - left, width / 2, this.shift.x), y: moved(event.clientY - top, height / 2, this.shift.y),
    };
    this.zoom = zoom;
    if (zoom === 1) this.shift = { x: 0, y: 0 };
    this.fit();
  }

  /** Moves the slice under the window. */
  pan(x, y) {
    this.shift = { x: this.shift.x + x, y: this.shift.y + y };
    this.fit();
  }

  /** The place on the slice under a place in the window; whole numbers are pixel centres. Outside the slice, the nearest on it. */
  place(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    const along = (at, start, scale, count) => Math.min(Math.max((at - start) / scale - 0.5, -0.5), count - 0.5);
    return {
      x: along(event.clientX, left + this.origin.x, this.scale.x, this.columns),
      y: along(event.clientY, top + this.origin.y, this.scale.y, this.rows),
    };
  }

  /** Where a place on the slice is on the canvas. */
  at({ x, y }) {
    return [this.origin.x + (x + 0.5) * this.scale.x, this.origin.y + (y + 0.5) * this.scale.y];
  }

  draw({ image, overlay, opacity, clicks, box, isProposal, isRejected }) {
    const { context, density } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const toSlice = () =>
      context.setTransform(density * this.scale.x, 0, 0, density * this.scale.y, density * this.origin.x, density * this.origin.y);
    toSlice();
    if (image) {
      context.imageSmoothingEnabled = true;
      context.imageSmoothingQuality = "high";
      context.drawImage(image, 0, 0);
    }
    if (overlay && opacity > 0) {
      context.imageSmoothingEnabled = false;
      context.globalAlpha = isRejected ? opacity / 3 : opacity;
      context.drawImage(overlay.fill, 0, 0);
      context.globalAlpha = 1;
      for (const { colour, path } of overlay.edges) this.stroke(path, colour, isProposal || isRejected);
    }
    context.setTransform(density, 0, 0, density, 0, 0);
    for (const click of clicks) click.label ? this.drawPoint(click) : this.drawBox(click, "#ffffff");
    if (box) this.drawBox(box, "#ffffff");
  }

  /** A line of even width around a structure, though pixels may not be square. */
  stroke(path, colour, isDashed) {
    const scaled = new Path2D();
    scaled.addPath(path, new DOMMatrix([this.scale.x, 0, 0, this.scale.y, this.origin.x, this.origin.y]));
    const { context } = this;
    context.save();
    context.setTransform(this.density, 0, 0, this.density, 0, 0);
    context.lineCap = "square";
    context.strokeStyle = colour;
    context.lineWidth = 1.6;
    if (isDashed) {
      context.globalAlpha = 0.9;
      context.setLineDash([1, 4]);
    }
    context.stroke(scaled);
    context.restore();
  }

  drawPoint(point) {
    const { context } = this;
    const [x, y] = this.at(point);
    const isInside = point.label === "foreground";
    context.beginPath();
    context.arc(x, y, CLICK_RADIUS, 0, 2 * Math.PI);
    context.fillStyle = isInside ? "#1f9d61" : "#d1453b";
    context.fill();
    context.lineWidth = 2;
    context.strokeStyle = "#ffffff";
    context.stroke();
    context.beginPath();
    context.moveTo(x - 3, y);
    context.lineTo(x + 3, y);
    if (isInside) {
      context.moveTo(x, y - 3);
      context.lineTo(x, y + 3);
    }
    context.stroke();
  }

  drawBox({ x_min, y_min, x_max, y_max }, colour) {
    const { context } = this;
    const [left, top] = this.at({ x: x_min, y: y_min });
    const [right, bottom] = this.at({ x: x_max, y: y_max });
    context.lineWidth = 3;
    context.strokeStyle = "rgb(0 0 0 / .5)";
    context.strokeRect(left, top, right - left, bottom - top);
    context.lineWidth = 1.5;
    context.strokeStyle = colour;
    context.strokeRect(left, top, right - left, bottom - top);
  }
}
