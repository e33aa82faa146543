//! The page and its requests.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, Request, State, rejection::JsonRejection, rejection::PathRejection},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use serde::Serialize;
use serde_json::json;
use tokio::{net::TcpListener, task::spawn_blocking};

use super::{
    Decision, Desk, DeskError, Overview,
    guard::Guard,
    question::{Look, Nothing, Question, Unclear, Verdict, check_slice},
};

/// The largest request, in bytes: a hundred clicks take half of it.
const LARGEST_BODY: usize = 16 * 1024;

/// What every answer carries: the page loads from here only, runs its own script only, and is shown in no other page's frame.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// What requests share: the desk, one at a time, and the number of its last answer.
#[derive(Clone)]
struct Service {
    desk: Arc<Mutex<dyn Desk>>,
    answers: Arc<AtomicU64>,
}

/// Serves the page of a desk, on this machine alone.
pub struct Server {
    listener: TcpListener,
    guard: Arc<Guard>,
}

impl Server {
    /// Opens a port of this machine; 0 takes any that is free.
    ///
    /// # Errors
    /// If the port cannot be opened.
    pub async fn open(port: u16) -> Result<Self> {
        let cannot = || format!("cannot open port {port} of this machine: choose another with --port");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.with_context(cannot)?;
        let address: SocketAddr = listener.local_addr().with_context(cannot)?;
        Ok(Self { listener, guard: Arc::new(Guard::new(address)?) })
    }

    /// The page's address, with a token that nobody can guess.
    pub fn address(&self) -> String {
        self.guard.address()
    }

    /// What answers the requests, wherever they come from: tests ask it without the port.
    pub fn service(&self, desk: Arc<Mutex<dyn Desk>>) -> Router {
        router(desk, Arc::clone(&self.guard))
    }

    /// Serves until `end` comes; what is being answered then is answered still.
    ///
    /// # Errors
    /// If the port fails.
    pub async fn serve(self, desk: Arc<Mutex<dyn Desk>>, end: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let service = self.service(desk);
        let served = axum::serve(self.listener, service).with_graceful_shutdown(end).await;
        served.context("the review page's port failed")
    }
}

/// Waits for Ctrl-C, for the end of the terminal, or for the system to end the program. Where it cannot be told, it waits for ever.
pub async fn told_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let told = async |kind| match signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        };
        tokio::select! {
            () = told(SignalKind::interrupt()) => (),
            () = told(SignalKind::terminate()) => (),
            () = told(SignalKind::hangup()) => (),
        }
    }
    #[cfg(not(unix))]
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn router(desk: Arc<Mutex<dyn Desk>>, guard: Arc<Guard>) -> Router {
    let page = Router::new()
        .route("/", file("text/html; charset=utf-8", include_str!("page/index.html")))
        .route("/review.css", file("text/css; charset=utf-8", include_str!("page/review.css")))
        .route("/review.js", file("text/javascript; charset=utf-8", include_str!("page/review.js")))
        .route("/desk.js", file("text/javascript; charset=utf-8", include_str!("page/desk.js")))
        .route("/panel.js", file("text/javascript; charset=utf-8", include_str!("page/panel.js")))
        .route("/view.js", file("text/javascript; charset=utf-8", include_str!("page/view.js")))
        .route("/icon.svg", file("image/svg+xml", include_str!("page/icon.svg")))
        .route("/overview", get(overview))
        .route("/image/{slice}", get(image))
        .route("/labels/{slice}", get(labels))
        .route("/look", post(look))
        .route("/ask", post(ask))
        .route("/decide", post(decide))
        .route("/undo", post(undo))
        .route("/save", post(save));
    // The guard has seen to the token before any route is looked for.
    Router::new()
        .nest(&guard.prefix(), page)
        .fallback(|| async { Refusal(StatusCode::NOT_FOUND, "there is nothing under this address".to_owned()) })
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn_with_state(guard, protect))
        .with_state(Service { desk, answers: Arc::default() })
}

/// Lets pass who may ask, and puts the headers on every answer.
async fn protect(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err((status, reason)) => Refusal(status, reason.to_owned()).into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A file that is part of the program.
fn file(kind: &'static str, text: &'static str) -> MethodRouter<Service> {
    get(move || async move { ([(header::CONTENT_TYPE, kind)], text) })
}

/// Why a request was not done, for the page to show.
#[derive(Debug)]
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

impl From<Unclear> for Refusal {
    fn from(unclear: Unclear) -> Self {
        let status = match unclear {
            Unclear::Slice { .. } | Unclear::Structure(_) => StatusCode::NOT_FOUND,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self(status, unclear.to_string())
    }
}

impl From<DeskError> for Refusal {
    fn from(error: DeskError) -> Self {
        let status = match error {
            DeskError::NotNow(_) => StatusCode::CONFLICT,
            DeskError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

/// What the page sent, or why it could not be read.
type Sent<T> = Result<Json<T>, JsonRejection>;

/// Works at the desk, on a thread that may take its time.
///
/// Work that panics is an error of that request alone: what was decided before is still there, to be saved.
async fn at<T: Send + 'static>(
    desk: Arc<Mutex<dyn Desk>>,
    work: impl FnOnce(&mut dyn Desk) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let done = spawn_blocking(move || work(&mut *desk.lock().unwrap_or_else(PoisonError::into_inner))).await;
    done.unwrap_or_else(|_| {
        let reason = "the program failed at this; what was decided before is still there";
        Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, reason.to_owned()))
    })
}

async fn overview(State(service): State<Service>) -> Result<Json<Overview>, Refusal> {
    at(service.desk, |desk| Ok(Json(desk.overview()))).await
}

/// Bytes of a slice, in scan order.
async fn image(State(service): State<Service>, slice: Result<Path<usize>, PathRejection>) -> Result<Vec<u8>, Refusal> {
    let Path(slice) = slice?;
    at(service.desk, move |desk| {
        check_slice(slice, &desk.overview())?;
        Ok(desk.image(slice)?.into_iter().collect())
    })
    .await
}

/// Label values of a slice, in scan order, two bytes each, the low one first.
async fn labels(State(service): State<Service>, slice: Result<Path<usize>, PathRejection>) -> Result<Vec<u8>, Refusal> {
    let Path(slice) = slice?;
    at(service.desk, move |desk| {
        check_slice(slice, &desk.overview())?;
        Ok(desk.labels(slice)?.into_iter().flat_map(u16::to_le_bytes).collect())
    })
    .await
}

async fn look(State(service): State<Service>, look: Sent<Look>) -> Result<StatusCode, Refusal> {
    let Json(Look { slice }) = look?;
    at(service.desk, move |desk| {
        check_slice(slice, &desk.overview())?;
        desk.look(slice);
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// An answer as the page reads it.
#[derive(Serialize)]
struct Answered {
    /// By this number the answer can be kept.
    answer: u64,
    /// Label values in scan order as runs: value, pixels, value, pixels.
    runs: Vec<usize>,
    predicted_iou: f32,
    milliseconds: u64,
}

async fn ask(State(service): State<Service>, question: Sent<Question>) -> Result<Json<Answered>, Refusal> {
    let Json(question) = question?;
    at(service.desk, move |desk| {
        let (slice, structure) = (question.slice, question.structure);
        let prompts = question.check(&desk.overview())?;
        let start = Instant::now();
        let answer = desk.answer(slice, structure, &prompts)?;
        let labels: Vec<u16> = answer.labels.into_iter().collect();
        let runs = labels.chunk_by(u16::eq).flat_map(|run| [usize::from(run[0]), run.len()]);
        Ok(Json(Answered {
            answer: service.answers.fetch_add(1, Ordering::Relaxed) + 1,
            runs: runs.collect(),
            predicted_iou: answer.predicted_iou,
            milliseconds: start.elapsed().as_millis() as u64,
        }))
    })
    .await
}

async fn decide(State(service): State<Service>, verdict: Sent<Verdict>) -> Result<Json<Overview>, Refusal> {
    let Json(Verdict { slice, decision, answer }) = verdict?;
    at(service.desk, move |desk| {
        check_slice(slice, &desk.overview())?;
        // The desk holds one proposal; of two windows on one page, each keeps only what it has seen.
        if decision == Decision::Keep && answer != Some(service.answers.load(Ordering::Relaxed)) {
            return Err(DeskError::NotNow("something else was proposed since: click once more".to_owned()).into());
        }
        desk.decide(slice, decision)?;
        Ok(Json(desk.overview()))
    })
    .await
}

async fn undo(State(service): State<Service>, nothing: Sent<Nothing>) -> Result<Response, Refusal> {
    let Json(Nothing {}) = nothing?;
    at(service.desk, |desk| {
        let slice = desk.undo()?;
        Ok(Json(json!({ "slice": slice, "overview": desk.overview() })).into_response())
    })
    .await
}

async fn save(State(service): State<Service>, nothing: Sent<Nothing>) -> Result<Response, Refusal> {
    let Json(Nothing {}) = nothing?;
    at(service.desk, |desk| {
        let saved = desk.save()?;
        Ok(Json(json!({ "saved": saved, "overview": desk.overview() })).into_response())
    })
    .await
}

#[cfg(test)]
mod tests;
