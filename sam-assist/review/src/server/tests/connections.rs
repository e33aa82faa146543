//! Clients that are slow, many, or strangers.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    num::NonZeroUsize,
    thread,
    time::{Duration, Instant},
};

use super::{Result, Running};
use crate::ServerLimits;

/// How long a test waits for what should come at once.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than any test waits.
const LONG: Duration = Duration::from_hours(1);

/// A connection that has sent a byte and sends nothing more.
fn half_open(server: &Running) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(server.parts().0)?;
    stream.write_all(b"G")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

#[test]
fn a_client_that_is_slow_with_its_header_is_cut_off() -> Result<()> {
    let server = Running::start_with(ServerLimits::default().with_header(Duration::from_millis(300)))?;
    let (host, page) = server.parts();
    let mut dripping = half_open(&server)?;
    let head = format!("GET {page}overview HTTP/1.1\r\nHost: {host}\r\nX: ");
    // On a busy machine it may have been cut off already.
    let _ = dripping.write_all(head.as_bytes());
    let silent = TcpStream::connect(host)?;
    silent.set_read_timeout(Some(PATIENCE))?;
    for mut stream in [dripping, silent] {
        match stream.read_to_end(&mut Vec::new()) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err("the connection is still open".into());
            }
            // Closed, or reset.
            _ => {}
        }
    }
    assert_eq!(server.ask("GET", "overview", "", "")?.0, 200);
    Ok(())
}

#[test]
fn no_more_connections_are_open_than_allowed() -> Result<()> {
    let one = NonZeroUsize::MIN;
    let server = Running::start_with(ServerLimits::default().with_connections(one).with_header(LONG))?;
    let (host, page) = server.parts();
    let held = half_open(&server)?;
    let mut waiting = TcpStream::connect(host)?;
    write!(waiting, "GET {page}overview HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    waiting.set_read_timeout(Some(Duration::from_millis(300)))?;
    let mut first = [0; 12];
    assert!(waiting.read_exact(&mut first).is_err(), "it is answered at once");
    drop(held);
    waiting.set_read_timeout(Some(PATIENCE))?;
    waiting.read_exact(&mut first)?;
    assert_eq!(&first, b"HTTP/1.1 200");
    Ok(())
}

#[test]
fn a_stranger_holds_no_connection() -> Result<()> {
    let server = Running::start_with(ServerLimits::default().with_header(LONG))?;
    let mut stranger = TcpStream::connect(server.parts().0)?;
    stranger.set_read_timeout(Some(PATIENCE))?;
    write!(stranger, "GET / HTTP/1.1\r\nHost: {}\r\n\r\n", server.parts().0)?;
    let mut answer = String::new();
    stranger.read_to_string(&mut answer)?;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    Ok(())
}

#[test]
fn half_sent_requests_do_not_keep_the_server_alive() -> Result<()> {
    for limits in [
        // A header is no request in progress.
        ServerLimits::default().with_header(LONG).with_shutdown(LONG),
        ServerLimits::default().with_header(LONG).with_shutdown(Duration::from_millis(300)),
    ] {
        let server = Running::start_with(limits)?;
        let (host, page) = server.parts();
        let mut held = (0..40).map(|_| half_open(&server)).collect::<Result<Vec<_>>>()?;
        if limits.shutdown != LONG {
            // A body that never comes.
            let mut half = TcpStream::connect(host)?;
            let content = "Content-Type: application/json\r\nContent-Length: 100";
            write!(half, "POST {page}save HTTP/1.1\r\nHost: {host}\r\n{content}\r\n\r\n{{")?;
            held.push(half);
        }
        assert_eq!(server.ask("GET", "overview", "", "")?.0, 200);
        let start = Instant::now();
        drop(server);
        assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    }
    Ok(())
}

#[test]
fn a_request_in_progress_is_answered_when_the_server_ends() -> Result<()> {
    let mut server = Running::start()?;
    let (host, page) = server.parts();
    let desk = server.desk.lock().expect("no panic");
    let mut stream = TcpStream::connect(host)?;
    write!(stream, "GET {page}overview HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
    // The request has to reach the desk, which is in use.
    thread::sleep(Duration::from_millis(500));
    drop(desk);
    drop(server.end.take());
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("liver"), "{answer}");
    Ok(())
}
