//! Requests to the review page from any client that can reach the port.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, OnceLock},
};

use anyhow::{Context, Result};
use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header},
};
use rand::{Rng, RngExt};
use sam_annotate::Output;
use sam_data::{PhantomConfig, Scan, Segment, SliceAxis, SlicePlane, Window};
use sam_prompt::{
    Prompts,
    ndarray::{Array2, Array3, Axis},
};
use sam_review::{
    BoxError, Desk, MemoryStore, RECORD_ENDING, ReviewCase, ScanDesk, Server, SliceReview, SliceSegmenter, SliceState,
    StructureMask,
};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

use crate::{damage::damage, text::damage_text};

/// The requests that the page sends.
const REQUESTS: [(&str, &str, &str); 16] = [
    ("GET", "", ""),
    ("GET", "overview", ""),
    ("GET", "image/1", ""),
    ("GET", "labels/0", ""),
    ("GET", "review.js", ""),
    ("POST", "look", r#"{"slice":1}"#),
    ("POST", "ask", r#"{"slice":0,"structure":5,"points":[{"x":1,"y":1.5,"label":"foreground"}]}"#),
    ("POST", "ask", r#"{"slice":1,"structure":1,"boxes":[{"x_min":1,"y_min":0,"x_max":8.5,"y_max":7}]}"#),
    ("POST", "decide", r#"{"slice":1,"decision":"keep","version":0,"answer":1}"#),
    ("POST", "decide", r#"{"slice":0,"decision":"keep","version":0,"answer":2}"#),
    ("POST", "decide", r#"{"slice":0,"decision":"accept","version":0}"#),
    ("POST", "decide", r#"{"slice":2,"decision":"reject","version":0}"#),
    ("POST", "decide", r#"{"slice":3,"decision":"empty","version":1}"#),
    ("POST", "undo", r#"{"revision":1}"#),
    ("POST", "save", r#"{"revision":0}"#),
    ("POST", "save", r#"{"revision":1}"#),
];

/// The server, and the runtime that runs its requests. Its port is open, but it does not listen.
fn server() -> &'static (Runtime, Server) {
    static SERVER: OnceLock<(Runtime, Server)> = OnceLock::new();
    SERVER.get_or_init(|| {
        let runtime = Builder::new_current_thread().enable_io().build().expect("a runtime");
        let server = runtime.block_on(Server::bind(0)).expect("a port");
        (runtime, server)
    })
}

/// Host with port, and token.
fn address() -> (String, String) {
    let address = server().1.address();
    let (host, token) = address.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("an address");
    (host.to_owned(), token.trim_end_matches('/').to_owned())
}

/// A few requests, each in a file.
pub(crate) fn prepare(folder: &Path, random: &mut dyn Rng) -> usize {
    let mut held = 0;
    for number in 0..random.random_range(1..7) {
        let bytes = request(random);
        held += bytes.len();
        fs::write(folder.join(format!("{number}.http")), bytes).expect("a writable folder");
    }
    held
}

/// A request, damaged more often than not.
fn request(random: &mut dyn Rng) -> Vec<u8> {
    let (host, token) = address();
    let port = host.split_once(':').map_or("80", |(_, port)| port);
    let (method, path, body) = REQUESTS[random.random_range(0..REQUESTS.len())];
    let local = format!("localhost:{port}");
    let mut target = format!("/{token}/{path}");
    let mut headers = vec![format!("Host: {host}"), "Content-Type: application/json".to_owned()];
    match random.random_range(0..20) {
        0 => headers[0] = format!("Host: {local}"),
        1 => headers[0] = format!("Host: {}", ["evil.example", "127.0.0.1", "", "[::1]"][random.random_range(0..4)]),
        2 => headers.push(format!("Host: {local}")),
        3 => headers.push("Origin: null".to_owned()),
        4 => headers.push(format!("Origin: http://{host}")),
        5 => headers.push(format!("Origin: http://{local}")),
        6 => headers.extend([format!("Origin: http://{host}"), "Origin: http://evil.example".to_owned()]),
        7 => target = format!("/{}/{path}", &token[1..]),
        8 => target = format!("/{}/{path}", token.to_uppercase()),
        9 => target = format!("/%{:02x}{}/{path}", token.as_bytes()[0], &token[1..]),
        10 => target = format!("//{token}/{path}"),
        11 => target = format!("/x/../{token}/{path}"),
        12 => target = format!("http://evil.example/{token}/{path}"),
        13 => target = format!("/{token}/../../{path}?{token}"),
        14 => target = format!("/{path}#{token}"),
        15 => drop(headers.remove(1)),
        _ => {}
    }
    let mut head = format!("{method} {target} HTTP/1.1\r\n{}", headers.join("\r\n")).into_bytes();
    if random.random_bool(0.25) {
        damage(&mut head, usize::MAX, random);
    }
    let mut body = body.as_bytes().to_vec();
    if random.random_bool(0.5) {
        damage_text(&mut body, random);
    }
    [head.as_slice(), b"\r\n\r\n", &body].concat()
}

/// Parses the request in a file; `None` if no server would accept it as a request.
fn parse(bytes: &[u8]) -> Option<Request<Body>> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = (&bytes[..end], bytes[end + 4..].to_vec());
    let mut lines = head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut words = lines.next()?.split(|&byte| byte == b' ');
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = Method::from_bytes(words.next()?).ok()?;
    *request.uri_mut() = Uri::try_from(words.next()?).ok()?;
    for line in lines {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        request.headers_mut().append(HeaderName::from_bytes(&line[..colon]).ok()?, value);
    }
    Some(request)
}

/// Whether a request comes from the page, by an independent implementation of the rules.
fn is_from_page(uri: &Uri, headers: &HeaderMap) -> bool {
    let (host, token) = address();
    let hosts = [host.clone(), host.replace("127.0.0.1", "localhost")];
    let all =
        |name| headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?").to_owned()).collect::<Vec<_>>();
    let (named, origins) = (all(header::HOST), all(header::ORIGIN));
    let [named] = named.as_slice() else { return false };
    let is_own = match origins.as_slice() {
        [] => true,
        [origin] => *origin == format!("http://{named}"),
        _ => false,
    };
    is_own
        && hosts.contains(named)
        && uri.authority().is_none_or(|authority| authority.as_str() == named)
        && (uri.path() == format!("/{token}") || uri.path().starts_with(&format!("/{token}/")))
}

/// Sends the requests one after another to a new desk.
pub(crate) fn read(folder: &Path) -> Result<bool, String> {
    let (runtime, server) = server();
    let desk = Arc::new(Mutex::new(desk(folder).map_err(|error| format!("there is no desk: {error:#}"))?));
    let service = server.router(desk.clone());
    let changes = || {
        let overview = desk.lock().map_err(|_| "the desk panicked".to_owned())?.overview();
        Ok::<_, String>((overview.unsaved, overview.can_undo))
    };
    let mut is_answered = false;
    for number in 0.. {
        let Ok(bytes) = fs::read(folder.join(format!("{number}.http"))) else { break };
        let Some(request) = parse(&bytes) else { continue };
        let is_ours = is_from_page(request.uri(), request.headers());
        let (may_change, is_head) = (request.method() == Method::POST, request.method() == Method::HEAD);
        let before = changes()?;
        let (status, headers, body) = runtime.block_on(async {
            let response = service.clone().oneshot(request).await.map_err(|error| error.to_string())?;
            let (parts, body) = response.into_parts();
            let body = to_bytes(body, usize::MAX).await.map_err(|error| error.to_string())?;
            Ok::<_, String>((parts.status, parts.headers, body))
        })?;
        let text = String::from_utf8_lossy(&body);
        let wrong = |what: &str| Err(format!("request {number}: {what}: {status} {text}"));
        if status.is_server_error() {
            return wrong("the server failed");
        }
        if !is_ours && !matches!(status.as_u16(), 403 | 421) {
            return wrong("a stranger was not refused");
        }
        if !(is_ours && may_change) && changes()? != before {
            return wrong("something was changed");
        }
        if text.contains(&address().1) || !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
            return wrong("the answer tells the token, or lacks its headers");
        }
        let reason = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        if !status.is_success() && !reason["error"].is_string() && status != 405 && !is_head {
            return wrong("no reason is given");
        }
        is_answered |= status.is_success();
    }
    let own = [
        "scan.nii.gz",
        "reviewed.nii.gz",
        "reviewed.review.json",
        ".reviewed.nii.gz.lock",
        ".reviewed.review.json.lock",
    ];
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        if !own.contains(&&*name) && path.extension().is_none_or(|ending| ending != "http") {
            return Err(format!("{name} was written"));
        }
    }
    Ok(is_answered)
}

/// A segmenter that returns what is in the boxes.
struct BoxModel((usize, usize));

impl SliceSegmenter for BoxModel {
    fn is_embedded(&self, _: usize) -> bool {
        true
    }

    fn embed(&self, _: usize) -> Result<(), BoxError> {
        Ok(())
    }

    fn segment(&self, _: usize, _: usize, prompts: &Prompts) -> Result<StructureMask, BoxError> {
        let inside = |(row, column)| prompts.boxes.iter().any(|part| part.contains(column as f32, row as f32));
        Ok(StructureMask::new(Array2::from_shape_fn(self.0, inside), 0.75))
    }
}

/// A desk with a scan of four slices.
fn desk(folder: &Path) -> Result<ScanDesk> {
    let volume = PhantomConfig::default().with_shape([16, 12, 4]).generate().volume;
    let image = folder.join("scan.nii.gz");
    sam_data::write_volume(&image, &volume)?;
    let scan = Arc::new(Scan::open(&image, None)?);
    let plane = SlicePlane::new(scan.grid(), SliceAxis::Axial);
    let window = Window::Abdomen.resolve(scan.volume().voxels.view())?;
    let image = |slice| window.apply(plane.extract(scan.volume().voxels.view(), slice).view()).insert_axis(Axis(2));
    let images: Vec<Array3<u8>> = (0..plane.count()).map(image).collect();
    let slice = SliceReview::new(Array2::ones(plane.size()), SliceState::Predicted);
    let structures = [1, 5].map(|value| Segment::new(value, format!("label {value}"))).into();
    let model = Arc::new(BoxModel(plane.size()));
    let output = Output::new(folder.join("reviewed.nii.gz")).with_record_ending(RECORD_ENDING);
    let output = output.open(&scan, std::iter::empty::<&Path>())?;
    let mut case = ReviewCase::new(scan, plane, structures, output);
    case.record = serde_json::json!({ "window": window }).as_object().cloned().context("an object")?;
    Ok(ScanDesk::new(case, Arc::new(images), vec![slice; 4], Box::new(MemoryStore::new()), model)?)
}
