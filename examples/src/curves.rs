//! Dice over the number of points, and over the number of interactions, as a picture (SVG).

use anyhow::{Result, anyhow};
use plotters::{coord::Shift, prelude::*};
use sam_eval::{Column, InteractionTable, ResultsTable};

/// Width and height of a panel, in the picture's own units.
const PANEL: (u32, u32) = (560, 400);

/// A line of a panel.
#[derive(Debug, Clone, PartialEq)]
struct Curve {
    /// Its name in the legend.
    name: String,
    /// How many slices were annotated; decides the colour.
    annotated_slices: usize,
    /// How much was said, and mean Dice over the structures.
    points: Vec<(usize, f64)>,
}

/// Draws a panel of Dice by number of points, and one by number of interactions; `None` if the results have neither.
///
/// All values are means over the structures, each counting once, as in the tables.
///
/// # Errors
/// If drawing fails.
pub fn picture(table: &ResultsTable, interactions: &InteractionTable) -> Result<Option<String>> {
    let panels = [
        ("Points on the object, and as many beside it", by_points(table)),
        ("Interactions: the first prompt, then clicks at the largest error", by_interactions(interactions)),
    ];
    let panels: Vec<_> = panels.into_iter().filter(|(_, curves)| !curves.is_empty()).collect();
    if panels.is_empty() {
        return Ok(None);
    }
    let mut svg = String::new();
    {
        let size = (PANEL.0 * panels.len() as u32, PANEL.1);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        // plotters' errors borrow the text that is being written.
        let failed = |error: &dyn std::fmt::Display| anyhow!("the curves cannot be drawn: {error}");
        area.fill(&WHITE).map_err(|error| failed(&error))?;
        for (part, (title, curves)) in area.split_evenly((1, panels.len())).iter().zip(&panels) {
            draw(part, title, curves).map_err(|error| failed(&error))?;
        }
        area.present().map_err(|error| failed(&error))?;
    }
    Ok(Some(svg))
}

/// Columns with points alone, by method and number of annotated slices.
fn by_points(table: &ResultsTable) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for (at, column) in table.columns().iter().enumerate() {
        let count = column.prompt.strip_prefix("points-").and_then(|count| count.parse().ok());
        let (Some(count), Some((mean, _))) = (count, table.column_mean(at)) else { continue };
        let name = name(column);
        if let Some(curve) = curves.iter_mut().find(|curve| curve.name == name) {
            curve.points.push((count, mean));
        } else {
            let annotated_slices = column.annotated_slices;
            curves.push(Curve { name, annotated_slices, points: vec![(count, mean)] });
        }
    }
    for curve in &mut curves {
        curve.points.sort_by_key(|&(count, _)| count);
    }
    curves
}

/// Series of interactions, by method, number of annotated slices, and what they begin with.
fn by_interactions(table: &InteractionTable) -> Vec<Curve> {
    let curve = |(column, points): (&Column, _)| Curve {
        name: format!("{}, {}", name(column), column.prompt),
        annotated_slices: column.annotated_slices,
        points,
    };
    table.curves().map(curve).filter(|curve| !curve.points.is_empty()).collect()
}

fn name(column: &Column) -> String {
    match column.annotated_slices {
        0 => column.method.clone(),
        1 => format!("{}, 1 slice", column.method),
        count => format!("{}, {count} slices", column.method),
    }
}

type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn draw<'a>(area: &DrawingArea<SVGBackend<'a>, Shift>, title: &str, curves: &[Curve]) -> Drawn<'a> {
    let most = curves.iter().flat_map(|curve| &curve.points).map(|&(count, _)| count).max().unwrap_or(1);
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..most as f64 + 0.5, 0.0..1.0_f64)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.1))
        .x_labels(most.min(10) + 1)
        .x_label_formatter(&|count| format!("{count:.0}"))
        .y_labels(6)
        .y_label_formatter(&|dice| format!("{dice:.1}"))
        .x_desc(title)
        .y_desc("Dice, mean over structures")
        .draw()?;
    let mut amounts: Vec<usize> = curves.iter().map(|curve| curve.annotated_slices).collect();
    amounts.sort_unstable();
    amounts.dedup();
    for (at, curve) in curves.iter().enumerate() {
        let colour = colour(amounts.iter().position(|&amount| amount == curve.annotated_slices).unwrap_or(0));
        // Series of one colour differ in their marks: what a legend in grey still tells apart.
        let filled =
            curves[..at].iter().filter(|other| other.annotated_slices == curve.annotated_slices).count() % 2 == 0;
        let mark = if filled { colour.filled() } else { colour.stroke_width(1) };
        let points = || curve.points.iter().map(|&(count, dice)| (count as f64, dice));
        chart
            .draw_series(LineSeries::new(points(), colour.stroke_width(2)))?
            .label(curve.name.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(points().map(|point| Circle::new(point, 4, mark)))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .draw()
}

/// Grey for what was not learned, then from little to much; colours of P. Tol's bright scheme, for all kinds of colour vision.
fn colour(rank: usize) -> RGBColor {
    const SCHEME: [RGBColor; 6] = [
        RGBColor(120, 120, 120),
        RGBColor(68, 119, 170),
        RGBColor(238, 102, 119),
        RGBColor(34, 136, 51),
        RGBColor(204, 187, 68),
        RGBColor(170, 51, 119),
    ];
    SCHEME[rank % SCHEME.len()]
}

#[cfg(test)]
mod tests {
    use sam_eval::{InteractionSummary, Record, Spread, Summary};

    use super::*;

    fn record(structure: &str, annotated_slices: usize, prompt: &str, series: &[f64]) -> Record {
        let interaction = (series.len() > 1).then(|| InteractionSummary::of(&[series], series.len(), &[0.85]));
        Record {
            dataset: "abdomen".to_owned(),
            case: "1".to_owned(),
            structure: structure.to_owned(),
            method: if annotated_slices == 0 { "original" } else { "assist" }.to_owned(),
            annotated_slices,
            prompt: prompt.to_owned(),
            seed: 0,
            dice: Summary::of([series[0]]),
            iou: None,
            interaction,
            slices: Vec::new(),
            train_seconds: 0.0,
            simulated_prompts: true,
        }
    }

    fn tables(records: &[Record]) -> (ResultsTable, InteractionTable) {
        let table = ResultsTable::new(records, Spread::Slices).expect("distinct records");
        (table, InteractionTable::new(records).expect("distinct records"))
    }

    #[test]
    fn curves_are_means_over_structures_by_rising_number_of_points() {
        let (table, interactions) = tables(&[
            record("liver", 0, "points-10", &[0.25]),
            record("liver", 0, "points-1", &[0.5]),
            record("aorta", 0, "points-1", &[1.0]),
            record("aorta", 0, "points-10", &[0.25]),
            record("liver", 0, "box", &[0.9]),
            record("liver", 2, "points-1", &[0.5]),
            record("liver", 2, "active-2", &[0.5, 0.75, 0.25]),
        ]);
        let curve = |name: &str, annotated_slices, points: &[(usize, f64)]| Curve {
            name: name.to_owned(),
            annotated_slices,
            points: points.to_vec(),
        };
        assert_eq!(
            by_points(&table),
            [curve("original", 0, &[(1, 0.75), (10, 0.25)]), curve("assist, 2 slices", 2, &[(1, 0.5)])]
        );
        assert_eq!(
            by_interactions(&interactions),
            [curve("assist, 2 slices, active-2", 2, &[(1, 0.5), (2, 0.75), (3, 0.25)])]
        );
    }

    #[test]
    fn the_picture_holds_a_panel_for_what_there_is() -> Result<()> {
        let (boxes, none) = tables(&[record("liver", 0, "box", &[0.9])]);
        assert_eq!(picture(&boxes, &none)?, None);
        let (table, interactions) =
            tables(&[record("liver", 0, "points-1", &[0.5]), record("liver", 5, "clicks-2", &[0.5, 0.75])]);
        let svg = picture(&table, &interactions)?.expect("two panels");
        assert!(svg.starts_with("<svg width=\"1120\"") && svg.contains("assist, 5 slices, clicks-2"), "{svg}");
        Ok(())
    }
}
