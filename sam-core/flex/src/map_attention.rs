//! Self-attention between the pixels of a map, within windows or over the whole map.
//!
//! The map is first split into contiguous arrays for each window and head (a unit). Then blocks of queries process the keys tile by tile
//! with a running softmax, so that only one tile of scores is stored. The largest array is the decomposed bias, whose size is the number of
//! pixels times the map's sides. Finally the heads are joined into a map. Where a window exceeds the map, its keys and values are a
//! constant padding vector, which is not computed for each pixel. Outputs of padded pixels are dropped.

use super::{
    BLOCK_ROWS, MapAttention, QkvOrder,
    bf16::{self, Panels, Strips},
    fill::{blocks, fill, fill_one},
    matrix::{Matrix, MatrixMut},
    record::Array,
    simd::{exp, exponentials, max, vectorised},
};

/// Queries per task.
const QUERIES: usize = 64;

/// Approximate number of keys per tile: whole lines of pixels. Scores, keys and values of a tile fit into the second-level cache together.
const KEYS: usize = 512;

/// Unused floats after each row of keys, so that the distance between rows is not a power of two. Otherwise rows would compete for the same
/// lines of the first-level cache.
const GAP: usize = 16;

/// The position bias: what is added to the score of a query and a key.
pub(super) enum Bias<'a> {
    /// Embeddings of the row and column distances, multiplied by the query: `[h, h, width]` and `[w, w, width]` of a window.
    Decomposed { rows: &'a [f32], columns: &'a [f32] },
    /// One value for each pair of pixels: `[heads, pixels, pixels]` of a window.
    Table(&'a [f32]),
}

/// Computes the output map from queries, keys and values `[n, h, w, 3 * channels]` and those of a padded pixel `[3 * channels]`. `rounded`:
/// whether the factors of products are rounded to bf16.
pub(super) fn forward(attention: &MapAttention, qkv: &Array, padding: &Array, bias: &Bias<'_>, rounded: bool) -> Array {
    let sizes = Sizes::of(attention, qkv);
    let (map, padding) = (qkv.values(), padding.values());
    let split = Split::of(&sizes, &map, &padding, bias, rounded);
    let per_unit = blocks(sizes.pixels(), QUERIES);
    let tasks = per_unit.len();
    let attended = fill_one(&per_unit.repeat(sizes.units()), sizes.width, |task, output| {
        attend(&sizes, &split, bias, task / tasks, task % tasks * QUERIES, output);
    });
    let channels = sizes.heads * sizes.width;
    let joined =
        fill_one(&blocks(sizes.samples * sizes.map[0] * sizes.map[1], BLOCK_ROWS), channels, |block, output| {
            for (row, output) in output.chunks_exact_mut(channels).enumerate() {
                let (unit, pixel) = sizes.place(block * BLOCK_ROWS + row);
                for (head, output) in output.chunks_exact_mut(sizes.width).enumerate() {
                    let at = ((unit + head) * sizes.pixels() + pixel) * sizes.width;
                    output.copy_from_slice(&attended[at..at + sizes.width]);
                }
            }
        });
    Array::new(&[sizes.samples, sizes.map[0], sizes.map[1], channels], joined)
}

/// The sizes of a map and of its windows.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    samples: usize,
    /// Height and width of the map.
    map: [usize; 2],
    /// Height and width of a window.
    window: [usize; 2],
    /// Number of windows down and across.
    windows: [usize; 2],
    heads: usize,
    /// Number of channels of a head.
    width: usize,
    order: QkvOrder,
}

impl Sizes {
    fn of(attention: &MapAttention, qkv: &Array) -> Self {
        let [samples, height, width] = [qkv.dims()[0], qkv.dims()[1], qkv.dims()[2]];
        let window = attention.window.map_or([height, width], |side| [side, side]);
        Self {
            samples,
            map: [height, width],
            window,
            windows: [height.div_ceil(window[0]), width.div_ceil(window[1])],
            heads: attention.heads,
            width: qkv.width() / 3 / attention.heads,
            order: attention.order,
        }
    }

    /// Number of pixels of a window.
    fn pixels(&self) -> usize {
        self.window[0] * self.window[1]
    }

    /// Number of units: windows of all samples, times heads.
    fn units(&self) -> usize {
        self.samples * self.windows[0] * self.windows[1] * self.heads
    }

    /// Number of pixel lines of a tile of keys.
    fn tile_lines(&self) -> usize {
        (KEYS / self.window[1]).clamp(1, self.window[0])
    }

    /// Distance from one row of a tile's keys to the next.
    fn key_step(&self) -> usize {
        self.tile_lines() * self.window[1] + GAP
    }

    /// Number of key tiles of a window.
    fn tiles(&self) -> usize {
        self.window[0].div_ceil(self.tile_lines())
    }

    /// The number of keys of a tile.
    fn tile_keys(&self, tile: usize) -> usize {
        self.tile_lines().min(self.window[0] - tile * self.tile_lines()) * self.window[1]
    }

    /// The keys of a tile, `[width, keys]`, from those of a unit.
    fn keys<'a>(&self, keys: &'a [f32], tile: usize) -> Matrix<'a> {
        let step = self.key_step();
        Matrix::strided(&keys[tile * self.width * step..], [self.width, self.tile_keys(tile)], [step, 1])
    }

    /// The values of a tile, `[keys, width]`, from those of a unit.
    fn values<'a>(&self, values: &'a [f32], tile: usize) -> Matrix<'a> {
        let first = tile * self.tile_lines() * self.window[1];
        Matrix::new(&values[first * self.width..], self.tile_keys(tile), self.width)
    }

    /// Position of a pixel (counted over all maps): the first unit of its window, and its index in the window.
    fn place(&self, pixel: usize) -> (usize, usize) {
        let [height, width] = self.map;
        let (sample, row, column) = (pixel / (height * width), pixel / width % height, pixel % width);
        let window = (sample * self.windows[0] + row / self.window[0]) * self.windows[1] + column / self.window[1];
        (window * self.heads, row % self.window[0] * self.window[1] + column % self.window[1])
    }

    /// Start of a pixel's values in the map (`None` in the padding), and the first channel of a unit's queries (0), keys (1) or values (2).
    fn at(&self, unit: usize, part: usize, pixel: usize) -> (Option<usize>, usize) {
        let (window, head) = (unit / self.heads, unit % self.heads);
        let sample = window / (self.windows[0] * self.windows[1]);
        let row = window / self.windows[1] % self.windows[0] * self.window[0] + pixel / self.window[1];
        let column = window % self.windows[1] * self.window[1] + pixel % self.window[1];
        let channel = self.width
            * match self.order {
                QkvOrder::PartsThenHeads => part * self.heads + head,
                QkvOrder::HeadsThenParts => head * 3 + part,
            };
        let inside = row < self.map[0] && column < self.map[1];
        let before = (sample * self.map[0] + row) * self.map[1] + column;
        (inside.then(|| before * 3 * self.heads * self.width), channel)
    }
}

/// Queries, keys, values and bias, split by unit.
struct Split {
    /// Queries: `[pixels, width]` of each unit.
    queries: Vec<f32>,
    /// Keys: `[width, keys of the tile]` of each tile of each unit, with gaps.
    keys: Vec<f32>,
    /// Values: `[pixels, width]` of each unit.
    values: Vec<f32>,
    /// Bias of a query for each row of keys: `[pixels, h]` of each unit; empty without decomposed bias.
    by_row: Vec<f32>,
    /// Bias of a query for each column of keys: `[pixels, w]` of each unit; empty without decomposed bias.
    by_column: Vec<f32>,
    /// Keys and values of each tile of each unit, rounded to bf16 for the products; empty if products are in `f32`.
    rounded: Vec<[Panels; 2]>,
}

impl Split {
    fn of(sizes: &Sizes, map: &[f32], padding: &[f32], bias: &Bias<'_>, rounded: bool) -> Self {
        let (pixels, width, [lines, line]) = (sizes.pixels(), sizes.width, sizes.window);
        let bias_widths = match bias {
            Bias::Decomposed { .. } => [pixels * lines, pixels * line],
            Bias::Table(_) => [0, 0],
        };
        let tile = sizes.tile_lines() * line;
        let widths =
            [pixels * width, sizes.tiles() * width * sizes.key_step(), pixels * width, bias_widths[0], bias_widths[1]];
        let work = |unit: usize, [queries, keys, values, by_row, by_column]: [&mut [f32]; 5]| {
            let vector = |part: usize, pixel: usize| {
                let (start, channel) = sizes.at(unit, part, pixel);
                let source = start.map_or(padding, |start| &map[start..]);
                &source[channel..channel + width]
            };
            for pixel in 0..pixels {
                queries[pixel * width..][..width].copy_from_slice(vector(0, pixel));
                values[pixel * width..][..width].copy_from_slice(vector(2, pixel));
                let keys = &mut keys[pixel / tile * width * sizes.key_step() + pixel % tile..];
                for (row, &key) in vector(1, pixel).iter().enumerate() {
                    keys[row * sizes.key_step()] = key;
                }
            }
            if let Bias::Decomposed { rows, columns } = bias {
                for row in 0..lines {
                    let queries = Matrix::new(&queries[row * line * width..], line, width);
                    let table = Matrix::new(&rows[row * lines * width..], lines, width);
                    MatrixMut::new(&mut by_row[row * line * lines..], line, lines).assign(
                        1.0,
                        queries,
                        table.transposed(),
                    );
                }
                for column in 0..line {
                    let queries = Matrix::strided(&queries[column * width..], [lines, width], [line * width, 1]);
                    let table = Matrix::new(&columns[column * line * width..], line, width);
                    let output = &mut by_column[column * line..];
                    MatrixMut::strided(output, [lines, line], [line * line, 1]).assign(
                        1.0,
                        queries,
                        table.transposed(),
                    );
                }
            }
            let tiles = (0..if rounded { sizes.tiles() } else { 0 })
                .map(|tile| [Panels::round(sizes.keys(keys, tile)), Panels::round(sizes.values(values, tile))]);
            tiles.collect::<Vec<_>>()
        };
        let ([queries, keys, values, by_row, by_column], rounded) = fill(&vec![1; sizes.units()], widths, work);
        Self { queries, keys, values, by_row, by_column, rounded: rounded.into_iter().flatten().collect() }
    }
}

/// Computes the output of some queries of a unit, `[queries, width]`; `output` must be zero.
fn attend(sizes: &Sizes, split: &Split, bias: &Bias<'_>, unit: usize, first: usize, output: &mut [f32]) {
    let (pixels, width, [lines, line]) = (sizes.pixels(), sizes.width, sizes.window);
    let count = output.len() / width;
    let products = Products::of(sizes, split, unit, first, count);
    let mut scores = vec![0.0; count * sizes.tile_lines() * line];
    let mut shares = Strips::default();
    // For each query: the maximum score so far, and the sum of all exponentials relative to it.
    let mut running = vec![(f32::NEG_INFINITY, 0.0_f32); count];
    for tile in 0..sizes.tiles() {
        let from = tile * sizes.tile_lines();
        let tile_keys = sizes.tile_keys(tile);
        let scores = &mut scores[..count * tile_keys];
        products.score(tile, scores);
        vectorised(
            #[inline(always)]
            || {
                let rows = scores.chunks_exact_mut(tile_keys).zip(output.chunks_exact_mut(width)).zip(&mut running);
                for (index, ((scores, output), running)) in rows.enumerate() {
                    let query = unit * pixels + first + index;
                    match bias {
                        Bias::Decomposed { .. } => {
                            let by_row = &split.by_row[query * lines + from..][..tile_keys / line];
                            let by_column = &split.by_column[query * line..][..line];
                            add_decomposed(scores, by_row, by_column);
                        }
                        Bias::Table(table) => {
                            let pair = (unit % sizes.heads * pixels + first + index) * pixels + from * line;
                            scores.iter_mut().zip(&table[pair..]).for_each(|(score, bias)| *score += bias);
                        }
                    }
                    accumulate(scores, output, running);
                }
            },
        );
        products.sum_up(tile, Matrix::new(scores, count, tile_keys), &mut shares, output);
    }
    for (output, (_, sum)) in output.chunks_exact_mut(width).zip(running) {
        for value in output {
            *value /= sum;
        }
    }
}

/// The matrix products of some queries of a unit.
enum Products<'a> {
    Full {
        sizes: &'a Sizes,
        queries: Matrix<'a>,
        keys: &'a [f32],
        values: &'a [f32],
        scale: f32,
    },
    /// The queries are already scaled; each tile has its keys and values.
    Rounded {
        queries: Strips,
        tiles: &'a [[Panels; 2]],
    },
}

impl<'a> Products<'a> {
    fn of(sizes: &'a Sizes, split: &'a Split, unit: usize, first: usize, count: usize) -> Self {
        let (pixels, width, tiles) = (sizes.pixels(), sizes.width, sizes.tiles());
        let scale = 1.0 / (width as f32).sqrt();
        let queries = &split.queries[(unit * pixels + first) * width..][..count * width];
        if split.rounded.is_empty() {
            let keys = &split.keys[unit * tiles * width * sizes.key_step()..];
            let values = &split.values[unit * pixels * width..];
            return Self::Full { sizes, queries: Matrix::new(queries, count, width), keys, values, scale };
        }
        let scaled: Vec<_> = queries.iter().map(|query| query * scale).collect();
        let mut queries = Strips::default();
        queries.round(Matrix::new(&scaled, count, width));
        Self::Rounded { queries, tiles: &split.rounded[unit * tiles..][..tiles] }
    }

    /// Computes the scores of a tile's keys.
    fn score(&self, tile: usize, scores: &mut [f32]) {
        match self {
            Self::Full { sizes, queries, keys, scale, .. } => {
                let keys = sizes.keys(keys, tile);
                MatrixMut::new(scores, queries.rows(), keys.columns()).assign(*scale, *queries, keys);
            }
            Self::Rounded { queries, tiles } => {
                let [keys, _] = &tiles[tile];
                scores.fill(0.0);
                let scores = MatrixMut::new(scores, queries.rows(), keys.columns());
                bf16::multiply(scores, queries, keys);
            }
        }
    }

    /// Adds a tile's values, weighted by `shares`, to the output; `strips` is a buffer for the rounded weights.
    fn sum_up(&self, tile: usize, shares: Matrix<'_>, strips: &mut Strips, output: &mut [f32]) {
        match self {
            Self::Full { sizes, values, .. } => {
                MatrixMut::new(output, shares.rows(), sizes.width).add(1.0, shares, sizes.values(values, tile));
            }
            Self::Rounded { tiles, .. } => {
                let [_, values] = &tiles[tile];
                strips.round(shares);
                bf16::multiply(MatrixMut::new(output, shares.rows(), values.columns()), strips, values);
            }
        }
    }
}

/// Adds the decomposed bias of a query to the score of each key.
#[inline(always)]
fn add_decomposed(scores: &mut [f32], by_row: &[f32], by_column: &[f32]) {
    for (scores, &of_row) in scores.chunks_exact_mut(by_column.len()).zip(by_row) {
        for (score, &of_column) in scores.iter_mut().zip(by_column) {
            *score += of_row + of_column;
        }
    }
}

/// Replaces scores by their exponentials relative to the running maximum; rescales earlier sums to the new maximum.
#[inline(always)]
fn accumulate(scores: &mut [f32], output: &mut [f32], (largest, sum): &mut (f32, f32)) {
    let before = *largest;
    *largest = max(scores).max(before);
    let shrunk = if before == f32::NEG_INFINITY { 0.0 } else { exp(before - *largest) };
    *sum = *sum * shrunk + exponentials(scores, *largest);
    if shrunk < 1.0 {
        for value in output {
            *value *= shrunk;
        }
    }
}
