mod connections;
mod tabs;

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
};

use sam_prompt::{
    Prompts,
    ndarray::{Array2, Array3},
};
use serde_json::{Value, json};
use tokio::{runtime::Builder, sync::oneshot};

use super::*;
use crate::{BoxError, Proposal, Saved, SliceOverview, SliceState, StructureOverview};

type Result<T, E = BoxError> = std::result::Result<T, E>;

/// An error with a cause.
#[derive(Debug, thiserror::Error)]
#[error("slice 1 is lost")]
struct Lost(#[source] std::io::Error);

/// A desk with two slices of 2 x 3 pixels. The labels of slice 1 give an error, and a proposal on it panics.
#[derive(Default)]
struct TestDesk {
    decided: Vec<(usize, Decision)>,
    versions: [u64; 2],
    viewed: Vec<usize>,
}

impl TestDesk {
    fn changed(&mut self, slice: usize) {
        self.versions[slice] = self.versions[0].max(self.versions[1]) + 1;
    }
}

impl Desk for TestDesk {
    fn overview(&self) -> Overview {
        Overview {
            name: "scan".to_owned(),
            out: "mask.nii.gz".to_owned(),
            rows: 2,
            columns: 3,
            spacing_mm: (1.0, 1.0),
            structures: vec![StructureOverview { value: 300, name: "liver".to_owned(), colour: "#ff0000".to_owned() }],
            slices: self.versions.map(|version| SliceOverview::new(SliceState::Predicted, false, version)).into(),
            ranking: Vec::new(),
            next: None,
            changes: None,
            revision: self.versions[0].max(self.versions[1]),
            unsaved: self.decided.len(),
            can_undo: !self.decided.is_empty(),
        }
    }

    fn image(&self, _: usize) -> Result<Array3<u8>, DeskError> {
        Ok(Array3::from_shape_fn((2, 3, 1), |(row, column, _)| (3 * row + column) as u8))
    }

    fn labels(&self, slice: usize) -> Result<Array2<u16>, DeskError> {
        if slice == 1 {
            Err(DeskError::failed(Lost(std::io::Error::other("the disk"))))
        } else {
            Ok(Array2::from_elem((2, 3), 300))
        }
    }

    fn viewing(&mut self, slice: usize) {
        self.viewed.push(slice);
    }

    fn propose(&mut self, slice: usize, structure: u16, _: &Prompts) -> Result<Proposal, DeskError> {
        assert_eq!(slice, 0, "a failure on purpose");
        let labels = Array2::from_shape_fn((2, 3), |(row, column)| if row == 1 && column > 0 { structure } else { 0 });
        Ok(Proposal { labels, predicted_iou: 0.5 })
    }

    fn decide(&mut self, slice: usize, decision: Decision) -> Result<(), DeskError> {
        self.decided.push((slice, decision));
        self.changed(slice);
        Ok(())
    }

    fn undo(&mut self) -> Result<Option<usize>, DeskError> {
        let Some((slice, _)) = self.decided.pop() else { return Ok(None) };
        self.changed(slice);
        Ok(Some(slice))
    }

    fn save(&mut self) -> Result<Saved, DeskError> {
        Err(DeskError::failed("the disk is full"))
    }
}

/// A server that runs until it is dropped.
struct Running {
    address: String,
    desk: Arc<Mutex<TestDesk>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<Result<(), ReviewError>>>,
}

impl Running {
    fn start() -> Result<Self> {
        Self::start_with(ServerLimits::default())
    }

    fn start_with(limits: ServerLimits) -> Result<Self> {
        let desk = Arc::new(Mutex::new(TestDesk::default()));
        let (end, ended) = oneshot::channel();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let server = runtime.block_on(Server::bind(0))?.with_limits(limits);
        let (address, shared) = (server.address(), Arc::clone(&desk));
        let thread = thread::spawn(move || runtime.block_on(server.serve(shared, async move { drop(ended.await) })));
        Ok(Self { address, desk, end: Some(end), thread: Some(thread) })
    }

    /// Host with port, and the path of the page.
    fn parts(&self) -> (&str, &str) {
        let rest = self.address.strip_prefix("http://").unwrap_or_default();
        rest.split_at(rest.find('/').unwrap_or_default())
    }

    /// Sends a request byte for byte, and returns status, headers and body of the answer.
    fn send(&self, request: &[u8]) -> Result<(u16, String, Vec<u8>)> {
        let mut stream = TcpStream::connect(self.parts().0)?;
        stream.write_all(request)?;
        let mut answer = Vec::new();
        // The server may reset the connection after its answer if it did not read the whole body.
        let _ = stream.read_to_end(&mut answer);
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("an answer has a head")?;
        let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        let status = head.split(' ').nth(1).ok_or("a status")?.parse()?;
        Ok((status, head, answer[end + 4..].to_vec()))
    }

    /// Sends a request as the page does, with some headers added.
    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Result<(u16, String, Vec<u8>)> {
        let (host, page) = self.parts();
        self.send(
            format!(
                "{method} {page}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
                body.len()
            )
            .as_bytes(),
        )
    }

    fn post(&self, path: &str, body: &str) -> Result<(u16, Value)> {
        let (status, _, body) = self.ask("POST", path, "Content-Type: application/json\r\n", body)?;
        Ok((status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.end.take());
        let ended = self.thread.take().map(thread::JoinHandle::join);
        if !thread::panicking() {
            assert!(matches!(ended, Some(Ok(Ok(())))), "the server ends in peace");
        }
    }
}

const ACCEPT: &str = r#"{"slice":0,"decision":"accept","version":0}"#;
const CLICK: &str = r#"{"slice":0,"structure":300,"points":[{"x":1,"y":1,"label":"foreground"}]}"#;

#[test]
fn the_page_and_all_that_it_loads_come_from_the_program_and_are_shut_off_from_elsewhere() -> Result<()> {
    let server = Running::start()?;
    for (path, kind) in [
        ("", "text/html"),
        ("review.css", "text/css"),
        ("review.js", "text/javascript"),
        ("desk.js", "text/javascript"),
        ("panel.js", "text/javascript"),
        ("view.js", "text/javascript"),
        ("icon.svg", "image/svg+xml"),
    ] {
        let (status, head, body) = server.ask("GET", path, "", "")?;
        assert_eq!(status, 200, "{path}");
        assert!(head.contains(&format!("content-type: {kind}")) && !body.is_empty(), "{path}: {head}");
        for (name, value) in HEADERS {
            assert!(head.contains(&format!("{name}: {}", value.to_lowercase())), "{path}: {head}");
        }
        let text = String::from_utf8(body)?;
        let outside: Vec<_> = text.match_indices("//").filter(|(at, _)| text[..*at].ends_with(':')).collect();
        let namespace = usize::from(path == "icon.svg");
        assert_eq!(outside.len(), namespace, "{path} names an address");
        assert!(!text.contains(" style=") && !text.contains(" onclick="), "{path} has what the policy forbids");
    }
    assert_eq!(server.ask("GET", "nothing", "", "")?.0, 404);
    assert_eq!(server.ask("GET", "ask", "", "")?.0, 405);
    Ok(())
}

#[test]
fn only_this_machine_can_connect() -> Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let server = runtime.block_on(Server::bind(0))?;
    assert!(server.listener.local_addr()?.ip().is_loopback());
    let port = server.listener.local_addr()?.port();
    let error = runtime.block_on(Server::bind(port)).err().ok_or("the port is taken")?;
    assert!(error.to_string().contains("choose another"), "{error}");
    Ok(())
}

#[test]
fn other_hosts_other_origins_and_other_tokens_are_refused() -> Result<()> {
    let server = Running::start()?;
    let (host, page) = server.parts();
    let port = host.split_once(':').ok_or("a port")?.1;
    let token = page.trim_matches('/');
    let changed = |at: usize| {
        let mut other = token.to_owned().into_bytes();
        other[at] = if other[at] == b'0' { b'1' } else { b'0' };
        String::from_utf8(other)
    };
    let get = |path: &str, headers: &str| {
        server.send(format!("GET {path} HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n").as_bytes())
    };
    let overview = format!("/{token}/overview");
    let ours = format!("Host: {host}");
    // The page itself, under both host names.
    assert_eq!(get(&overview, &ours)?.0, 200);
    assert_eq!(get(&overview, &format!("Host: localhost:{port}\r\nOrigin: http://localhost:{port}"))?.0, 200);
    for (path, headers, status, part) in [
        (overview.clone(), format!("Host: evil.example:{port}"), 421, "its own address"),
        (overview.clone(), "Host: 127.0.0.1".to_owned(), 421, "its own address"),
        (overview.clone(), format!("Host: {host}.evil.example"), 421, "its own address"),
        (format!("http://evil.example{overview}"), ours.clone(), 421, "its own address"),
        (overview.clone(), format!("{ours}\r\nOrigin: http://evil.example"), 403, "from elsewhere"),
        (overview.clone(), format!("{ours}\r\nOrigin: https://{host}"), 403, "from elsewhere"),
        (overview.clone(), format!("{ours}\r\nOrigin: http://localhost:{port}"), 403, "from elsewhere"),
        (overview.clone(), format!("{ours}\r\nOrigin: null"), 403, "from elsewhere"),
        (overview.clone(), format!("{ours}\r\nOrigin: http://{host}\r\nOrigin: null"), 403, "from elsewhere"),
        ("/".to_owned(), ours.clone(), 403, "token"),
        ("/overview".to_owned(), ours.clone(), 403, "token"),
        ("/favicon.ico".to_owned(), ours.clone(), 403, "token"),
        (format!("/{}/overview", changed(0)?), ours.clone(), 403, "token"),
        (format!("/{}/overview", changed(63)?), ours.clone(), 403, "token"),
        (format!("/{}/overview", &token[..63]), ours.clone(), 403, "token"),
        (format!("/{token}0/overview"), ours.clone(), 403, "token"),
        (format!("//{token}/overview"), ours.clone(), 403, "token"),
        (format!("/x/../{token}/overview"), ours.clone(), 403, "token"),
    ] {
        let (found, head, body) = get(&path, &headers)?;
        let body = String::from_utf8(body)?;
        assert_eq!(found, status, "{path} with {headers}: {body}");
        assert!(body.contains(part) && !body.contains(token), "{path} with {headers}: {body}");
        assert!(head.contains("content-security-policy"), "{head}");
    }
    // Without a host header, and with two.
    assert_eq!(server.send(format!("GET {overview} HTTP/1.0\r\n\r\n").as_bytes())?.0, 421);
    let twice = format!("GET {overview} HTTP/1.1\r\n{ours}\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert!([400, 421].contains(&server.send(twice.as_bytes())?.0));
    assert!(server.desk.lock().expect("no panic").decided.is_empty());
    Ok(())
}

#[test]
fn bad_bodies_are_refused_with_a_reason() -> Result<()> {
    let server = Running::start()?;
    let large = format!(r#"{{"slice":0,"decision":"accept"{}}}"#, " ".repeat(LARGEST_BODY));
    for (path, body, status, part) in [
        ("decide", large.as_str(), 413, "length limit"),
        ("decide", "{", 400, "JSON"),
        ("decide", r#"{"slice":0}"#, 422, "decision"),
        ("decide", r#"{"slice":0,"decision":"burn"}"#, 422, "unknown variant"),
        ("decide", r#"{"slice":-1,"decision":"accept"}"#, 422, "invalid value"),
        ("decide", r#"{"slice":0,"decision":"accept"}"#, 422, "version"),
        ("decide", r#"{"slice":0,"decision":"accept","version":-1}"#, 422, "invalid value"),
        ("decide", r#"{"slice":0,"decision":"accept","version":1}"#, 409, "has changed"),
        ("decide", r#"{"slice":2,"decision":"accept","version":0}"#, 404, "no slice 3"),
        ("decide", r#"{"slice":0,"decision":"keep","version":0,"answer":7}"#, 409, "click once more"),
        ("look", r#"{"slice":2}"#, 404, "no slice 3"),
        ("undo", "{}", 422, "revision"),
        ("undo", r#"{"revision":0,"slice":2}"#, 422, "unknown field"),
        ("undo", r#"{"revision":1}"#, 409, "another tab"),
        ("save", r#"{"revision":1}"#, 409, "another tab"),
        ("save", large.as_str(), 413, "length limit"),
        ("ask", r#"{"slice":0,"structure":1,"boxes":[]}"#, 404, "label value 1"),
        ("ask", r#"{"slice":0,"structure":300}"#, 422, "nothing was clicked"),
        ("ask", &CLICK.replace("\"x\":1", "\"x\":3"), 422, "outside"),
    ] {
        let (found, answer) = server.post(path, body)?;
        let reason = answer["error"].as_str().ok_or("a reason")?;
        assert!(found == status && reason.contains(part), "{path}: {found} {reason}");
    }
    // A form of another page could send plain text.
    assert_eq!(server.ask("POST", "decide", "Content-Type: text/plain\r\n", ACCEPT)?.0, 415);
    // A body without a stated length.
    let (host, page) = server.parts();
    let head = format!(
        "POST {page}ask HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
    );
    let chunk = format!("{head}\r\n{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    assert_eq!(server.send(chunk.as_bytes())?.0, 413);
    for path in ["image/2", "labels/2", "image/-1", "image/a", "image/99999999999999999999"] {
        let (status, _, body) = server.ask("GET", path, "", "")?;
        assert!([400, 404].contains(&status), "{path}: {status} {}", String::from_utf8_lossy(&body));
    }
    assert!(server.desk.lock().expect("no panic").decided.is_empty());
    Ok(())
}

#[test]
fn a_person_asks_decides_and_takes_back() -> Result<()> {
    let server = Running::start()?;
    assert_eq!(server.ask("GET", "image/0", "", "")?.2, [0, 1, 2, 3, 4, 5]);
    assert_eq!(server.ask("GET", "labels/0", "", "")?.2, [44, 1].repeat(6));
    assert_eq!(server.post("look", r#"{"slice":1}"#)?.0, 204);
    let (status, answer) = server.post("ask", CLICK)?;
    assert_eq!((status, &answer["runs"]), (200, &json!([0, 4, 300, 2])));
    let keep = |answer: &Value| {
        json!({ "slice": 0, "decision": "keep", "version": answer["version"], "answer": answer["answer"] }).to_string()
    };
    // A request of another window comes in between.
    let second = server.post("ask", CLICK)?.1;
    assert_eq!(server.post("decide", &keep(&answer))?.0, 409);
    let (status, overview) = server.post("decide", &keep(&second))?;
    assert_eq!((status, &overview["unsaved"], &overview["can_undo"]), (200, &json!(1), &json!(true)));
    let (status, undone) = server.post("undo", r#"{"revision":1}"#)?;
    assert_eq!((status, &undone["slice"], &undone["overview"]["unsaved"]), (200, &json!(0), &json!(0)));
    assert_eq!(server.post("undo", r#"{"revision":2}"#)?.1["slice"], Value::Null);
    assert_eq!(server.desk.lock().expect("no panic").viewed, [1]);
    Ok(())
}

#[test]
fn failures_are_said_and_leave_the_desk_as_it_was() -> Result<()> {
    let server = Running::start()?;
    assert_eq!(server.post("decide", ACCEPT)?.0, 200);
    let (status, _, body) = server.ask("GET", "labels/1", "", "")?;
    assert_eq!((status, String::from_utf8(body)?), (500, r#"{"error":"slice 1 is lost: the disk"}"#.to_owned()));
    let (status, answer) = server.post("save", r#"{"revision":1}"#)?;
    assert_eq!((status, &answer["error"]), (500, &json!("the disk is full")));
    // The program panics at this request.
    let (status, answer) = server.post("ask", &CLICK.replace("\"slice\":0", "\"slice\":1"))?;
    assert_eq!(status, 500);
    assert!(answer["error"].as_str().is_some_and(|error| error.contains("still there")), "{answer}");
    let overview: Value = serde_json::from_slice(&server.ask("GET", "overview", "", "")?.2)?;
    assert_eq!(overview["unsaved"], 1);
    Ok(())
}
