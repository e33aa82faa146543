//! The page and its requests.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, Request, State, rejection::JsonRejection, rejection::PathRejection},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use sam_prompt::error_chain;
use serde::Serialize;
use tokio::{net::TcpListener, task::spawn_blocking};

use crate::{
    Decision, Desk, DeskError, Overview, ReviewError, Saved, ServerLimits,
    access::Guard,
    connections,
    request::{
        DecideRequest, RequestError, RevisionRequest, SegmentRequest, ViewRequest, check_revision, check_slice,
        check_version,
    },
};

/// The maximum size of a request body in bytes: twice the size of a hundred clicks.
const LARGEST_BODY: usize = 16 * 1024;

/// Headers of every response: the page loads only from this server, runs only its own script, and cannot be framed by another page.
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

/// The header of a slice's labels that holds their version, which a decision about them names.
const LABELS_VERSION: HeaderName = HeaderName::from_static("labels-version");

/// State that requests share: the desk, one request at a time, and the number of its last proposal.
#[derive(Clone)]
struct Service {
    desk: Arc<Mutex<dyn Desk>>,
    proposals: Arc<AtomicU64>,
}

/// The web server of a desk's page, for this machine only.
///
/// It needs a tokio runtime with I/O and time.
pub struct Server {
    listener: TcpListener,
    guard: Arc<Guard>,
    limits: ServerLimits,
}

impl Server {
    /// Opens a port of this machine; 0 takes any free one.
    ///
    /// # Errors
    /// [`ReviewError::Port`] if the port cannot be opened; [`ReviewError::Random`] if the system gives no random numbers.
    pub async fn bind(port: u16) -> Result<Self, ReviewError> {
        let failed = |source| ReviewError::Port { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
        let address: SocketAddr = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, guard: Arc::new(Guard::new(address)?), limits: ServerLimits::default() })
    }

    /// This server with other limits.
    #[must_use]
    pub fn with_limits(self, limits: ServerLimits) -> Self {
        Self { limits, ..self }
    }

    /// The page's address, which contains a secret token. The page cannot be opened without it.
    pub fn address(&self) -> String {
        self.guard.address()
    }

    /// The routes and their checks, for a caller that serves them itself, without the limits of this server.
    pub fn router(&self, desk: Arc<Mutex<dyn Desk>>) -> Router {
        router(desk, Arc::clone(&self.guard))
    }

    /// Serves the desk until `shutdown` completes. Requests in progress are then answered, but for no longer than
    /// [`ServerLimits::shutdown`].
    ///
    /// # Errors
    /// [`ReviewError::Serve`] if the port fails.
    pub async fn serve(
        self,
        desk: Arc<Mutex<dyn Desk>>,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ReviewError> {
        let routes = self.router(desk);
        connections::serve(self.listener, routes, self.limits, shutdown).await
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
    // The guard checks the token before any route is matched.
    Router::new()
        .nest(&guard.prefix(), page)
        .fallback(|| async { Refusal::new(StatusCode::NOT_FOUND, "there is nothing under this address") })
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn_with_state(guard, protect))
        .with_state(Service { desk, proposals: Arc::default() })
}

/// Refuses requests that do not come from the page, and sets the headers of every response.
async fn protect(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err((status, reason)) => {
            let mut refused = Refusal::new(status, reason).into_response();
            // So a stranger holds no connection that the page may need.
            refused.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            refused
        }
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A file of the page, compiled into the program.
fn file(kind: &'static str, text: &'static str) -> MethodRouter<Service> {
    get(move || async move { ([(header::CONTENT_TYPE, kind)], text) })
}

/// Why a request was refused or failed, for the page to show.
#[derive(Debug, Serialize)]
struct Refusal {
    #[serde(skip)]
    status: StatusCode,
    #[serde(rename = "error")]
    reason: String,
    /// How things stand now, for a page that shows them as they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    overview: Option<Box<Overview>>,
}

impl Refusal {
    fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), overview: None }
    }

    /// Adds how things stand now, if the request conflicts with that.
    fn with_state(self, desk: &dyn Desk) -> Self {
        let is_conflict = self.status == StatusCode::CONFLICT;
        Self { overview: is_conflict.then(|| Box::new(desk.overview())), ..self }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self)).into_response()
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        let status = match error {
            RequestError::Slice { .. } | RequestError::Structure(_) => StatusCode::NOT_FOUND,
            RequestError::OldSlice | RequestError::OldReview => StatusCode::CONFLICT,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, error_chain(&error))
    }
}

impl From<DeskError> for Refusal {
    fn from(error: DeskError) -> Self {
        let status = match error {
            DeskError::NotNow(_) => StatusCode::CONFLICT,
            DeskError::NoSuchStructure(_) => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error_chain(&error))
    }
}

/// A request's body, or why it could not be read.
type Body<T> = Result<Json<T>, JsonRejection>;

/// Calls the desk on a thread that may block.
///
/// A panic fails only that request: earlier decisions remain and can be saved.
async fn at_desk<T: Send + 'static>(
    desk: Arc<Mutex<dyn Desk>>,
    work: impl FnOnce(&mut dyn Desk) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let done = spawn_blocking(move || {
        let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut *desk).map_err(|refusal| refusal.with_state(&*desk))
    });
    done.await.unwrap_or_else(|_| {
        let reason = "the program failed at this request; earlier decisions are still there";
        Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, reason))
    })
}

async fn overview(State(service): State<Service>) -> Result<Json<Overview>, Refusal> {
    at_desk(service.desk, |desk| Ok(Json(desk.overview()))).await
}

/// Pixels of a slice, row by row.
async fn image(State(service): State<Service>, slice: Result<Path<usize>, PathRejection>) -> Result<Vec<u8>, Refusal> {
    let Path(slice) = slice?;
    at_desk(service.desk, move |desk| {
        check_slice(slice, &desk.overview())?;
        Ok(desk.image(slice)?.into_iter().collect())
    })
    .await
}

/// Label values of a slice, row by row, as little-endian 16-bit numbers; their version is in the header [`LABELS_VERSION`].
async fn labels(
    State(service): State<Service>,
    slice: Result<Path<usize>, PathRejection>,
) -> Result<([(HeaderName, String); 1], Vec<u8>), Refusal> {
    let Path(slice) = slice?;
    at_desk(service.desk, move |desk| {
        let version = check_slice(slice, &desk.overview())?.version;
        let labels = desk.labels(slice)?.into_iter().flat_map(u16::to_le_bytes).collect();
        Ok(([(LABELS_VERSION, version.to_string())], labels))
    })
    .await
}

async fn look(State(service): State<Service>, viewed: Body<ViewRequest>) -> Result<StatusCode, Refusal> {
    let Json(ViewRequest { slice }) = viewed?;
    at_desk(service.desk, move |desk| {
        check_slice(slice, &desk.overview())?;
        desk.viewing(slice);
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// A proposal as the page reads it.
#[derive(Serialize)]
struct ProposalResponse {
    /// The number that identifies the proposal in a later decision to keep it.
    answer: u64,
    /// The version of the slice's labels that the proposal changes.
    version: u64,
    /// Label values row by row as runs: value, pixels, value, pixels.
    runs: Vec<usize>,
    predicted_iou: f32,
    milliseconds: u64,
}

async fn ask(State(service): State<Service>, request: Body<SegmentRequest>) -> Result<Json<ProposalResponse>, Refusal> {
    let Json(request) = request?;
    at_desk(service.desk, move |desk| {
        let (slice, structure) = (request.slice, request.structure);
        let overview = desk.overview();
        let version = check_slice(slice, &overview)?.version;
        let prompts = request.check(&overview)?;
        let start = Instant::now();
        let proposal = desk.propose(slice, structure, &prompts)?;
        let labels: Vec<u16> = proposal.labels.into_iter().collect();
        let runs = labels.chunk_by(u16::eq).flat_map(|run| [usize::from(run[0]), run.len()]);
        Ok(Json(ProposalResponse {
            answer: service.proposals.fetch_add(1, Ordering::Relaxed) + 1,
            version,
            runs: runs.collect(),
            predicted_iou: proposal.predicted_iou,
            milliseconds: start.elapsed().as_millis() as u64,
        }))
    })
    .await
}

async fn decide(State(service): State<Service>, request: Body<DecideRequest>) -> Result<Json<Overview>, Refusal> {
    let Json(DecideRequest { slice, decision, version, answer }) = request?;
    at_desk(service.desk, move |desk| {
        // With two open windows, each can decide only on the labels that it has shown.
        check_version(slice, version, &desk.overview())?;
        // The desk holds one proposal, so each window can keep only the last one, and only if that is the one that it has shown.
        if decision == Decision::Keep && answer != Some(service.proposals.load(Ordering::Relaxed)) {
            return Err(DeskError::NotNow("another outline was proposed since: click once more".to_owned()).into());
        }
        desk.decide(slice, decision)?;
        Ok(Json(desk.overview()))
    })
    .await
}

/// A decision that was undone, and how things stand now.
#[derive(Debug, Serialize)]
struct Undone {
    /// `None` if there was none.
    slice: Option<usize>,
    overview: Overview,
}

async fn undo(State(service): State<Service>, request: Body<RevisionRequest>) -> Result<Json<Undone>, Refusal> {
    let Json(RevisionRequest { revision }) = request?;
    at_desk(service.desk, move |desk| {
        check_revision(revision, &desk.overview())?;
        let slice = desk.undo()?;
        Ok(Json(Undone { slice, overview: desk.overview() }))
    })
    .await
}

/// A mask that was written, and how things stand now.
#[derive(Debug, Serialize)]
struct Written {
    saved: Saved,
    overview: Overview,
}

async fn save(State(service): State<Service>, request: Body<RevisionRequest>) -> Result<Json<Written>, Refusal> {
    let Json(RevisionRequest { revision }) = request?;
    at_desk(service.desk, move |desk| {
        check_revision(revision, &desk.overview())?;
        let saved = desk.save()?;
        Ok(Json(Written { saved, overview: desk.overview() }))
    })
    .await
}

#[cfg(test)]
mod tests;
