//! One scan and one model, shared between the threads of an HTTP server: `POST /slices/3/mask` with prompts returns the mask's pixels.
//!
//! ```text
//! downstream-server SCAN [WEIGHTS]
//! curl -d '{"points": [{"x": 20, "y": 18, "label": "foreground"}]}' -H content-type:application/json localhost:3000/slices/3/mask
//! ```

use std::{error::Error, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::post,
};
use sam_annotate::{
    Annotator, Flex, KnownModel, Precision, Scan, SliceAxis, Weights, progress::ignore_progress, sam_core::SliceSource,
    sam_prompt::Prompts,
};

/// The pixels inside the mask, as `[row, column]`.
type Pixels = Vec<(usize, usize)>;

fn segment(annotator: &Annotator<Flex>, slice: usize, prompts: &Prompts) -> Result<Pixels, Box<dyn Error>> {
    let embedding = annotator.slices(SliceAxis::Axial)?.embedding(slice)?;
    let mask = annotator.predictor().predict(&embedding, prompts)?.mask();
    Ok(mask.indexed_iter().filter(|&(_, &inside)| inside).map(|(pixel, _)| pixel).collect())
}

async fn answer(
    State(annotator): State<Arc<Annotator<Flex>>>,
    Path(slice): Path<usize>,
    Json(prompts): Json<Prompts>,
) -> Result<Json<Pixels>, (StatusCode, String)> {
    let work = move || segment(&annotator, slice, &prompts).map_err(|error| error.to_string());
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    done.map(Json).map_err(|error| (StatusCode::BAD_REQUEST, error))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let scan = Scan::open(arguments.next().ok_or("usage: downstream-server SCAN [WEIGHTS]")?, None)?;
    let weights = match arguments.next() {
        Some(path) => Weights::open(path)?,
        None => KnownModel::LiteMedSam.weights(&mut ignore_progress())?,
    };
    let predictor = weights.predictor::<Flex>(&Default::default(), Precision::F32)?;
    let annotator = Arc::new(Annotator::builder(predictor, Arc::new(scan)).build()?);
    let app = Router::new().route("/slices/{slice}/mask", post(answer)).with_state(annotator);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
