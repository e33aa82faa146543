//! Access control: the server answers only its own page, opened on this machine under the address with the token.

use std::net::SocketAddr;

use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use subtle::ConstantTimeEq;

use crate::ReviewError;

/// Random bytes in a token.
const TOKEN_BYTES: usize = 32;

/// Checks each request. It has no `Debug`, because it holds the token.
pub(super) struct Guard {
    token: String,
    /// The host names of the server in a browser on this machine.
    hosts: [String; 2],
}

impl Guard {
    /// A guard with a new token from the system's random numbers.
    pub(super) fn new(address: SocketAddr) -> Result<Self, ReviewError> {
        let mut bytes = [0_u8; TOKEN_BYTES];
        getrandom::fill(&mut bytes).map_err(ReviewError::Random)?;
        let port = address.port();
        let token = sam_files::hexadecimal(bytes);
        Ok(Self { token, hosts: [format!("127.0.0.1:{port}"), format!("localhost:{port}")] })
    }

    /// The path under which everything is served: `/TOKEN/`.
    pub(super) fn prefix(&self) -> String {
        format!("/{}/", self.token)
    }

    /// The page's address.
    pub(super) fn address(&self) -> String {
        format!("http://{}{}", self.hosts[0], self.prefix())
    }

    /// Refuses requests that do not come from the page, with the reason.
    ///
    /// A foreign host name is a sign of DNS rebinding: another site whose name was made to resolve to this machine. A foreign origin is a
    /// page of another site.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
        let host = only(headers, &header::HOST);
        if !self.hosts.iter().any(|known| host == Some(known))
            || uri.authority().is_some_and(|named| host != Some(named.as_str()))
        {
            return Err((StatusCode::MISDIRECTED_REQUEST, "this server answers under its own address only"));
        }
        let is_foreign = |origin: &str| origin.strip_prefix("http://") != host;
        if headers.contains_key(header::ORIGIN) && only(headers, &header::ORIGIN).is_none_or(is_foreign) {
            return Err((StatusCode::FORBIDDEN, "pages from elsewhere may not ask"));
        }
        let token = uri.path().split('/').nth(1).unwrap_or_default();
        if !bool::from(token.as_bytes().ct_eq(self.token.as_bytes())) {
            return Err((
                StatusCode::FORBIDDEN,
                "open the address that the program printed: its token is missing here or wrong",
            ));
        }
        Ok(())
    }
}

/// The value of a header that was sent exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let guard = || Guard::new(SocketAddr::from(([127, 0, 0, 1], 80))).expect("randomness");
        let [one, other] = [guard(), guard()];
        assert_eq!(one.token.len(), 2 * TOKEN_BYTES);
        assert_ne!(one.token, other.token);
        assert!(one.address().starts_with("http://127.0.0.1:80/"), "{}", one.address());
    }
}
