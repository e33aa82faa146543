//! Self-attention of a map's pixels, within windows or over the whole map.
//!
//! The map is first split into what each window and head needs, side by side in memory; then blocks of queries walk through the
//! keys tile by tile with a running softmax, so that scores are never more than a tile; what grows fastest is the decomposed bias, with
//! the pixels times the map's sides. At last the heads are joined to a map again. A window that reaches beyond the map sees the
//! padding there, which is one and the same vector everywhere and was never computed; what the padding itself asks is dropped.

use super::{
    BLOCK_ROWS, MapAttention, QkvOrder,
    bf16::{self, Panels, Strips},
    fill::{blocks, fill, fill_one},
    matrix::{Matrix, MatrixMut},
    record::Array,
    simd::{exp, exponentials, max, vectorised},
};

/// Queries of a task.
const QUERIES: usize = 64;

/// Keys of a tile, about: whole lines of pixels. Scores, keys and values of a tile fit into the second-level cache together.
const KEYS: usize = 512;

/// Floats that are left free behind each row of keys, so that rows do not lie a power of two apart and fight for the same lines of
/// the first-level cache.
const GAP: usize = 16;

/// What is added to the score of a query and a key.
pub(super) enum Bias<'a> {
    /// By the distances of their rows and of their columns, times the query: `[h, h, width]` and `[w, w, width]` of a window.
    Decomposed { rows: &'a [f32], columns: &'a [f32] },
    /// A number of each pair: `[heads, pixels, pixels]` of a window.
    Table(&'a [f32]),
}

/// The output map, from queries, keys and values `[n, h, w, 3 * channels]` and those of a padded pixel `[3 * channels]`; `rounded` says
/// whether products are made of what is rounded to bf16.
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
    /// Windows down and across.
    windows: [usize; 2],
    heads: usize,
    /// Channels of a head.
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

    /// Pixels of a window.
    fn pixels(&self) -> usize {
        self.window[0] * self.window[1]
    }

    /// Windows of all samples, once for each head.
    fn units(&self) -> usize {
        self.samples * self.windows[0] * self.windows[1] * self.heads
    }

    /// Lines of pixels of a tile of keys.
    fn tile_lines(&self) -> usize {
        (KEYS / self.window[1]).clamp(1, self.window[0])
    }

    /// From one row of a tile's keys to the next.
    fn key_step(&self) -> usize {
        self.tile_lines() * self.window[1] + GAP
    }

    /// Tiles of keys of a window.
    fn tiles(&self) -> usize {
        self.window[0].div_ceil(self.tile_lines())
    }

    /// The number of keys of a tile.
    fn tile_keys(&self, tile: usize) -> usize {
        self.tile_lines().min(self.window[0] - tile * self.tile_lines()) * self.window[1]
    }

    /// The keys of a tile, `[width, keys]`, of a unit's.
    fn keys<'a>(&self, keys: &'a [f32], tile: usize) -> Matrix<'a> {
        let step = self.key_step();
        Matrix::strided(&keys[tile * self.width * step..], [self.width, self.tile_keys(tile)], [step, 1])
    }

    /// The values of a tile, `[keys, width]`, of a unit's.
    fn values<'a>(&self, values: &'a [f32], tile: usize) -> Matrix<'a> {
        let first = tile * self.tile_lines() * self.window[1];
        Matrix::new(&values[first * self.width..], self.tile_keys(tile), self.width)
    }

    /// Where a pixel of all maps lies: its window's first unit, and its number in the window.
    fn place(&self, pixel: usize) -> (usize, usize) {
        let [height, width] = self.map;
        let (sample, row, column) = (pixel / (height * width), pixel / width % height, pixel % width);
        let window = (sample * self.windows[0] + row / self.window[0]) * self.windows[1] + column / self.window[1];
        (window * self.heads, row % self.window[0] * self.window[1] + column % self.window[1])
    }

    /// Where a unit's queries (0), keys (1) or values (2) of a pixel begin in the map; none if the window reaches beyond it there.
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

/// What the windows and heads are asked and answer with, each unit by itself.
struct Split {
    /// `[pixels, width]` of each unit.
    queries: Vec<f32>,
    /// `[width, keys of the tile]` of each tile of each unit, with gaps.
    keys: Vec<f32>,
    /// `[pixels, width]` of each unit.
    values: Vec<f32>,
    /// What a query's row adds for each row of keys, `[pixels, h]` of each unit; empty without decomposed bias.
    by_row: Vec<f32>,
    /// What its column adds for each column of keys, `[pixels, w]` of each unit; empty without decomposed bias.
    by_column: Vec<f32>,
    /// Keys and values of each tile of each unit once more, rounded for the products; empty where those are of `f32`.
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

/// The answers to some queries of a unit, `[queries, width]`; they are zero before.
fn attend(sizes: &Sizes, split: &Split, bias: &Bias<'_>, unit: usize, first: usize, output: &mut [f32]) {
    let (pixels, width, [lines, line]) = (sizes.pixels(), sizes.width, sizes.window);
    let count = output.len() / width;
    let products = Products::of(sizes, split, unit, first, count);
    let mut scores = vec![0.0; count * sizes.tile_lines() * line];
    let mut shares = Strips::default();
    // Of each query: the largest score so far, and the sum of all exponentials relative to it.
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

/// The products that some queries of a unit take part in.
enum Products<'a> {
    Full {
        sizes: &'a Sizes,
        queries: Matrix<'a>,
        keys: &'a [f32],
        values: &'a [f32],
        scale: f32,
    },
    /// The queries are scaled, and of each tile there are keys and values.
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

    /// The scores of a tile's keys.
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

    /// Adds a tile's values by their keys' shares to the output; `strips` is where the shares may be rounded.
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

/// Adds what a query's row and column say of each key.
#[inline(always)]
fn add_decomposed(scores: &mut [f32], by_row: &[f32], by_column: &[f32]) {
    for (scores, &of_row) in scores.chunks_exact_mut(by_column.len()).zip(by_row) {
        for (score, &of_column) in scores.iter_mut().zip(by_column) {
            *score += of_row + of_column;
        }
    }
}

/// Scores to their exponentials relative to the largest so far; what was summed up before is brought to the same measure.
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
