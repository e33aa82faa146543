//! The connections to the page's server: how many there are, how long they may take, and how they end.

use std::{
    io::{self, ErrorKind},
    num::NonZeroUsize,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::ReviewError;

/// How often in a row the system may refuse to accept a connection, for example because too many files are open.
const MAX_REFUSALS: usize = 60;
/// How long to wait after such a refusal.
const PAUSE: Duration = Duration::from_secs(1);
/// When the server ends: how often a connection looks whether its request is done.
const POLL: Duration = Duration::from_millis(20);
/// When the server ends: how long it may take to write an answer. Clients are on this machine.
const WRITE: Duration = Duration::from_millis(500);

/// Limits of the page's server. They keep a client that is slow or hostile from holding up the program: any process of this machine can
/// connect, also without the page's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerLimits {
    /// The maximum number of open connections; more of them wait until one is closed. The default is 64; a browser opens about six.
    pub connections: NonZeroUsize,
    /// How long a connection may take to send the header of a request; then it is closed. The default is 10 seconds.
    pub header: Duration,
    /// How long requests in progress may take when the server ends; then their connections are dropped. Other connections are dropped at
    /// once. The default is 5 seconds.
    pub shutdown: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: NonZeroUsize::MIN.saturating_add(63),
            header: Duration::from_secs(10),
            shutdown: Duration::from_secs(5),
        }
    }
}

impl ServerLimits {
    /// These limits with another number of connections.
    #[must_use]
    pub fn with_connections(self, connections: NonZeroUsize) -> Self {
        Self { connections, ..self }
    }

    /// These limits with another time for the header of a request.
    #[must_use]
    pub fn with_header(self, header: Duration) -> Self {
        Self { header, ..self }
    }

    /// These limits with another time for the requests in progress when the server ends.
    #[must_use]
    pub fn with_shutdown(self, shutdown: Duration) -> Self {
        Self { shutdown, ..self }
    }
}

/// Answers requests until `shutdown` completes, then ends all connections within [`ServerLimits::shutdown`].
///
/// # Errors
/// [`ReviewError::Serve`] if the system refuses to accept connections for a minute.
pub(super) async fn serve(
    listener: TcpListener,
    routes: Router,
    limits: ServerLimits,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ReviewError> {
    let (end, ended) = watch::channel(());
    let mut open = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            // `None` if there is no connection, which disables this branch.
            Some(_) = open.join_next() => {}
            stream = accept(&listener), if open.len() < limits.connections.get() => {
                let stream = stream.map_err(ReviewError::Serve)?;
                open.spawn(answer(stream, routes.clone(), limits.header, ended.clone()));
            }
        }
    }
    // New connections are refused; `answer` learns of the end when its channel is closed.
    drop((listener, end));
    let in_time = timeout(limits.shutdown, async { while open.join_next().await.is_some() {} }).await.is_ok();
    if !in_time {
        open.shutdown().await;
    }
    Ok(())
}

/// The next connection.
async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let mut refusals = 0;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Ok(stream),
            // The client went away before it was accepted.
            Err(error) if is_of_client(&error) => {}
            Err(error) if refusals == MAX_REFUSALS => return Err(error),
            Err(_) => {
                refusals += 1;
                sleep(PAUSE).await;
            }
        }
    }
}

fn is_of_client(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset)
}

/// Answers the requests of one connection until it is closed. Once `ended` is closed, only the request in progress is answered; a header
/// that is not complete is none.
async fn answer(stream: TcpStream, routes: Router, header: Duration, mut ended: watch::Receiver<()>) {
    let routes = TowerToHyperService::new(routes);
    // Each request in progress holds a copy, beside that of the service.
    let calls = Arc::new(());
    let in_progress = Arc::downgrade(&calls);
    let service = service_fn(move |request: Request<Incoming>| {
        let (call, answer) = (Arc::clone(&calls), routes.call(request));
        async move {
            let answer = answer.await;
            drop(call);
            answer
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(header);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // Errors are the client's: it went away, was too slow, or sent no HTTP. hyper has answered it.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = ended.changed() => connection.as_mut().graceful_shutdown(),
    }
    let answered = async {
        while in_progress.strong_count() > 1 {
            sleep(POLL).await;
        }
        sleep(WRITE).await;
    };
    tokio::select! {
        _ = connection => {}
        () = answered => {}
    }
}
