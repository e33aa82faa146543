//! Dice over the number of points, and over the number of interactions, as one picture (SVG).

use sam_eval::{
    Column, InteractionTable, ResultsTable,
    report::{Curve, CurvePlot, CurvePoint, Plot},
};
use sam_prompt::counted;

use crate::{ExperimentError, error::Result};

/// Draws a plot of Dice by number of points, and below it one by number of interactions; `None` if the results have neither.
///
/// All values are means over the structures, each counting once, as in the tables. The legend names the curves; a single curve is named by
/// the title of its plot.
///
/// # Errors
/// If drawing fails.
pub fn picture(table: &ResultsTable, interactions: &InteractionTable) -> Result<Option<String>> {
    let plots = [
        ("Dice by number of points", "Points on the object, and as many beside it", by_points(table)),
        (
            "Dice by number of interactions",
            "Interactions: the first prompt, then clicks at the largest error",
            by_interactions(interactions),
        ),
    ];
    let mut pictures = Vec::new();
    for (title, x_label, curves) in plots {
        if !curves.is_empty() {
            let plot = CurvePlot {
                title: match &curves[..] {
                    [lone] => format!("{title}: {}", lone.name),
                    _ => title.to_owned(),
                },
                x_label: x_label.to_owned(),
                y_label: "Dice, mean over structures".to_owned(),
                y_range: Some((0.0, 1.0)),
                curves,
            };
            pictures.push(Plot::Curves(plot).to_svg()?);
        }
    }
    Ok(if pictures.is_empty() { None } else { Some(below_each_other(&pictures)?) })
}

/// Joins pictures into one, from top to bottom. Each stays a separate `svg` element inside it.
fn below_each_other(pictures: &[String]) -> Result<String> {
    let (mut width, mut height, mut inner) = (0, 0, String::new());
    for picture in pictures {
        let size = |name| attribute(picture, name).ok_or(ExperimentError::Drawing { missing: name });
        let (own_width, own_height) = (size("width")?, size("height")?);
        inner += &picture.replacen("<svg ", &format!("<svg y=\"{height}\" "), 1);
        width = width.max(own_width);
        height += own_height;
    }
    let head = format!("<svg width=\"{width}\" height=\"{height}\" xmlns=\"http://www.w3.org/2000/svg\">");
    Ok(format!("{head}\n{inner}\n</svg>\n"))
}

/// The value of a whole-number attribute of the first element.
fn attribute(svg: &str, name: &str) -> Option<u32> {
    let (head, _) = svg.split_once('>')?;
    let (_, value) = head.split_once(&format!(" {name}=\""))?;
    value.split_once('"')?.0.parse().ok()
}

/// The curves of columns that have only points, by method and number of annotated slices.
fn by_points(table: &ResultsTable) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for (at, column) in table.columns().iter().enumerate() {
        let count = column.prompt.strip_prefix("points-").and_then(|count| count.parse::<usize>().ok());
        let (Some(count), Some((mean, _))) = (count, table.column_mean(at)) else { continue };
        let (name, point) = (name(column), CurvePoint::new(count as f64, mean));
        match curves.iter_mut().find(|curve| curve.name == name) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve { name, points: vec![point], ..Curve::default() }),
        }
    }
    for curve in &mut curves {
        curve.points.sort_by(|one, other| one.x.total_cmp(&other.x));
    }
    curves
}

/// The curves of interactions, by method, number of annotated slices, and first prompt.
fn by_interactions(table: &InteractionTable) -> Vec<Curve> {
    let curve = |(column, points): (&Column, Vec<(usize, f64)>)| Curve {
        name: format!("{}, {}", name(column), column.prompt),
        points: points.into_iter().map(|(count, dice)| CurvePoint::new(count as f64, dice)).collect(),
        ..Curve::default()
    };
    table.curves().map(curve).filter(|curve| !curve.points.is_empty()).collect()
}

fn name(column: &Column) -> String {
    match column.annotated_slices {
        0 => column.method.clone(),
        count => format!("{}, {}", column.method, counted(count, "slice")),
    }
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
        let curve = |name: &str, points: &[(f64, f64)]| Curve {
            name: name.to_owned(),
            points: points.iter().map(|&(x, y)| CurvePoint::new(x, y)).collect(),
            ..Curve::default()
        };
        assert_eq!(
            by_points(&table),
            [curve("original", &[(1.0, 0.75), (10.0, 0.25)]), curve("assist, 2 slices", &[(1.0, 0.5)])]
        );
        assert_eq!(
            by_interactions(&interactions),
            [curve("assist, 2 slices, active-2", &[(1.0, 0.5), (2.0, 0.75), (3.0, 0.25)])]
        );
    }

    #[test]
    fn the_picture_holds_a_plot_for_what_there_is() -> Result<()> {
        let (boxes, none) = tables(&[record("liver", 0, "box", &[0.9])]);
        assert_eq!(picture(&boxes, &none)?, None);
        let (points, none) = tables(&[record("liver", 0, "points-1", &[0.5])]);
        let one = picture(&points, &none)?.expect("a plot");
        let (table, interactions) =
            tables(&[record("liver", 0, "points-1", &[0.5]), record("liver", 5, "clicks-2", &[0.5, 0.75])]);
        let two = picture(&table, &interactions)?.expect("two plots");
        for title in
            ["Dice by number of points: original", "Dice by number of interactions: assist, 5 slices, clicks-2"]
        {
            assert!(two.contains(title), "{title}: {two}");
        }
        assert_eq!((one.matches("<svg").count(), two.matches("<svg").count()), (2, 3));
        let (compared, none) =
            tables(&[record("liver", 0, "points-1", &[0.5]), record("liver", 2, "points-1", &[0.75])]);
        let legend = picture(&compared, &none)?.expect("a plot of two curves");
        assert!(!legend.contains("Dice by number of points:"), "{legend}");
        for part in ["Dice by number of points", "original", "assist, 2 slices"] {
            assert!(legend.contains(part), "{part}: {legend}");
        }
        let height = |svg: &str| attribute(svg, "height").expect("a height");
        assert!(height(&two) > height(&one) && two.contains(&format!("<svg y=\"{}\"", height(&one))), "{two}");
        Ok(())
    }
}
